"""MNIST is fetched whole and right from the first mirror that has it, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from checks.mnist_files import packed, small_mnist

from refcompress.errors import MissingToolError, OptionError
from reference_models.data import fetch_mnist, mnist, mnist_files

FILES = packed(small_mnist())
REGISTRY = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
FIRST = next(iter(FILES))

Handler = http.server.BaseHTTPRequestHandler
Answer = Callable[[Handler, bytes], None]


def good(request: Handler, data: bytes) -> None:
    """Serve the file."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)


def absent(request: Handler, _data: bytes) -> None:
    """Have no file."""
    request.send_error(404)


def broken(request: Handler, _data: bytes) -> None:
    """Serve an error of the server's own."""
    request.send_error(503)


def corrupt(request: Handler, data: bytes) -> None:
    """Serve a file of the right length with one bit wrong."""
    good(request, data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])


def cut_off(request: Handler, data: bytes) -> None:
    """Promise the file and close the connection halfway."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data[: len(data) // 2])


def cut_off_unnoticed(request: Handler, data: bytes) -> None:
    """Send half of the file without having said how long it is."""
    request.send_response(200)
    request.end_headers()
    request.wfile.write(data[: len(data) // 2])


def silent(request: Handler, _data: bytes) -> None:
    """Accept the connection and say nothing for longer than anybody waits."""
    request.close_connection = True
    time.sleep(0.5)


def unpacking(request: Handler, data: bytes) -> None:
    """Declare the packed file to be an unpacked one in packed transfer, if the client takes that."""
    request.send_response(200)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        request.send_header("Content-Encoding", "gzip")
    request.send_header("Content-Length", str(len(data)))
    request.end_headers()
    request.wfile.write(data)


@dataclass
class Mirror:
    """A server of files on this machine, and what it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serve(answer: Answer, only: str = "") -> Iterator[Mirror]:
    """Run a mirror that answers in one way; those files whose names do not hold ``only`` are served well."""
    mirror = Mirror("")

    class Files(Handler):
        def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
            name = self.path.removeprefix("/mnist/")
            mirror.asked.append(name)
            (answer if only in name else good)(self, FILES[name])

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
    mirror.url = f"http://127.0.0.1:{server.server_port}/mnist/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):  # a proxy would not find the servers of this machine
        monkeypatch.setenv(name, "*")


def _holds(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_files_are_fetched_once_and_read(tmp_path: Path) -> None:
    with serve(good) as mirror:
        for _ in range(2):
            assert fetch_mnist(tmp_path / "new", mirrors=[mirror.url], registry=REGISTRY) == tmp_path / "new"
    assert mirror.asked == list(FILES)
    assert _holds(tmp_path / "new") == FILES
    splits = mnist(tmp_path / "new", validation=1)
    np.testing.assert_array_equal(splits.test.y, small_mnist()["t10k-labels-idx1-ubyte"])


@pytest.mark.parametrize("bad", [absent, broken, corrupt, cut_off, cut_off_unnoticed])
def test_a_bad_mirror_is_passed_over_for_the_next(bad: Answer, tmp_path: Path) -> None:
    with serve(bad) as first, serve(good) as second:
        fetch_mnist(tmp_path, mirrors=[first.url, second.url], registry=REGISTRY)
    assert first.asked == [FIRST], "after a failure the other mirror is asked first"
    assert second.asked == list(FILES)
    assert _holds(tmp_path) == FILES


def test_a_mirror_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_files, "TIMEOUT_SECONDS", 0.1)
    with serve(silent, FIRST) as first, serve(good) as second:
        fetch_mnist(tmp_path, mirrors=[first.url, second.url], registry=REGISTRY)
    assert _holds(tmp_path) == FILES


def test_mirrors_that_each_lack_a_file_make_up_for_one_another(tmp_path: Path) -> None:
    with serve(absent, "images") as first, serve(corrupt, "labels") as second:
        fetch_mnist(tmp_path, mirrors=[first.url, second.url], registry=REGISTRY)
    assert _holds(tmp_path) == FILES


def test_a_server_does_not_unpack_the_files_on_the_way(tmp_path: Path) -> None:
    with serve(unpacking) as mirror:
        fetch_mnist(tmp_path, mirrors=[mirror.url], registry=REGISTRY)
    assert _holds(tmp_path) == FILES


@pytest.mark.parametrize("bad", [absent, broken, corrupt, cut_off, cut_off_unnoticed])
def test_nothing_is_left_of_a_file_that_no_mirror_has(bad: Answer, tmp_path: Path) -> None:
    last = list(FILES)[-1]
    with serve(bad, last) as mirror, pytest.raises(MissingToolError, match=f"{last} could not be fetched"):
        fetch_mnist(tmp_path, mirrors=[mirror.url], registry=REGISTRY)
    assert _holds(tmp_path) == {name: data for name, data in FILES.items() if name != last}
    with serve(good) as mirror:
        fetch_mnist(tmp_path, mirrors=[mirror.url], registry=REGISTRY)
    assert mirror.asked == [last]
    assert _holds(tmp_path) == FILES


def test_if_all_mirrors_fail_the_error_names_each_and_what_to_do(tmp_path: Path) -> None:
    with serve(absent) as first, serve(corrupt) as second, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/"
        mirrors = [first.url, second.url, nobody, "no address"]
        with pytest.raises(MissingToolError) as caught:
            fetch_mnist(tmp_path, mirrors=mirrors, registry=REGISTRY)
    message = str(caught.value)
    assert all(f"{mirror}: " in message for mirror in mirrors)
    for part in ("404", "another SHA-256 checksum", "refused", *FILES, f"into {tmp_path} by hand"):
        assert part in message
    assert "\n" not in message
    assert not _holds(tmp_path)


def test_a_damaged_file_is_replaced_but_only_by_a_good_one(tmp_path: Path) -> None:
    (tmp_path / FIRST).write_bytes(b"damaged")
    with serve(corrupt) as mirror, pytest.raises(MissingToolError):
        fetch_mnist(tmp_path, mirrors=[mirror.url], registry=REGISTRY)
    assert _holds(tmp_path) == {FIRST: b"damaged"}
    with serve(good) as mirror:
        fetch_mnist(tmp_path, mirrors=[mirror.url], registry=REGISTRY)
    assert _holds(tmp_path) == FILES


def test_files_put_there_by_hand_need_no_mirror(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    with serve(absent) as mirror:
        assert fetch_mnist(tmp_path, mirrors=[mirror.url], registry=REGISTRY) == tmp_path
    assert not mirror.asked


def test_without_a_folder_the_files_go_to_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pooch

    monkeypatch.setattr(pooch, "os_cache", lambda project: tmp_path / project)
    with serve(good) as mirror:
        folder = fetch_mnist(mirrors=[mirror.url], registry=REGISTRY)
    assert folder == tmp_path / "refcompress" / "mnist"
    assert _holds(folder) == FILES


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with serve(good) as mirror, pytest.raises(OptionError, match=r"cannot be written to .*; give another folder"):
        fetch_mnist(tmp_path / "file", mirrors=[mirror.url], registry=REGISTRY)


def test_without_pooch_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingToolError, match=r"pip install 'refcompress\[data\]', or put the files train-images"):
        mnist()
