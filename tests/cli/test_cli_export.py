"""``refcompress export``."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from checks.small_networks import classifier, saved

import exporters.blob
import exporters.c
import refcompress
from exporters.forms import choose_forms
from refcompress.cli import main
from refcompress.cli.export import identifier
from refcompress.encodings import encode, smallest
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork


@pytest.mark.parametrize(("target", "exporter"), [("c", exporters.c), ("blob", exporters.blob)])
def test_the_files_are_those_of_the_exporter(
    target: str, exporter: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    assert main(["export", model, "--to", target, "--prefix", "net", "-o", str(tmp_path / "out"), "--json"]) == 0
    out, err = capsys.readouterr()
    files = exporter.export(classifier(), prefix="net")
    assert err == ""
    assert json.loads(out)["files"] == [
        {"path": str(tmp_path / "out" / name), "bytes": len(data)} for name, data in files.items()
    ]
    for name, data in files.items():
        assert (tmp_path / "out" / name).read_bytes() == data


def test_the_prefix_is_by_default_the_name_of_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(classifier(), tmp_path / "my-net.rcz")
    assert main(["export", model, "--to", "c", "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "my_net.h").is_file()
    assert f"wrote {tmp_path / 'out' / 'my_net.c'}" in capsys.readouterr().out
    assert [identifier(text) for text in ("7 of 9", "a.b", "", "größe")] == ["net_7_of_9", "a_b", "net", "gr_e"]


def test_an_unknown_target_is_one_line_that_lists_the_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    assert main(["export", model, "--to", "rust", "-o", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "no exporter 'rust'" in err
    assert "blob, c" in err


@pytest.mark.parametrize("prefix", ["7net", "a b", "", "../net"])
def test_a_prefix_that_is_no_identifier_writes_nothing(
    prefix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(classifier(), tmp_path / "m.rcz")
    assert main(["export", model, "--to", "c", "--prefix", prefix, "-o", str(tmp_path / "out")]) == 1
    assert capsys.readouterr().err.startswith("refcompress: error: ")
    assert not (tmp_path / "out").exists()


def test_an_integer_model_becomes_integer_c_and_an_image(tmp_path: Path) -> None:
    pytest.importorskip("tflite", reason="needs the extra tflite")
    from checks.tflite_networks import conv

    from refcompress.formats import tflite

    model = tmp_path / "m.tflite"
    model.write_bytes(conv(np.random.default_rng(0)))
    assert main(["export", str(model), "--to", "c", "--prefix", "net", "-o", str(tmp_path / "out")]) == 0
    files = exporters.c.export(tflite.load(model), prefix="net")
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == files
    assert b"int8_t" in files["net.h"]
    assert main(["export", str(model), "--to", "blob", "--prefix", "net", "-o", str(tmp_path / "image")]) == 0
    image = exporters.blob.export(tflite.load(model), prefix="net")
    assert {path.name: path.read_bytes() for path in (tmp_path / "image").iterdir()} == image
    assert {"net.bin", "net.hex", "rc_q_run.c"} <= set(image)


def _quantized() -> IntegerNetwork:
    samples = np.random.default_rng(1).normal(size=(64, 12)).astype(np.float32)
    return refcompress.quantize_network(classifier(), samples)


def _coded() -> Graph:
    """Return a network with weights under a Huffman code."""
    graph = classifier(inputs=64)
    values = np.where(np.random.default_rng(2).random((64, 32)) < 0.9, 0.0, 0.5).astype(np.float32)
    return graph.with_params({"fc1/kernel": smallest(encode(values))})


def test_forms_and_decoders_are_chosen_by_options(tmp_path: Path) -> None:
    refcompress.save(_quantized(), tmp_path / "m.rcz")
    command = ["export", str(tmp_path / "m.rcz"), "--prefix", "net", "-o", str(tmp_path / "out")]
    assert main([*command, "--to", "c", "--prefer", "size", "--max-table-bits", "4"]) == 0
    network = choose_forms(refcompress.load_integer(tmp_path / "m.rcz"), "size")
    files = exporters.c.export(network, prefix="net", max_table_bits=4)
    assert (tmp_path / "out" / "net.c").read_bytes() == files["net.c"]


def test_the_report_is_a_table_or_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refcompress.save(_quantized(), tmp_path / "m.rcz")
    command = [
        "export",
        str(tmp_path / "m.rcz"),
        "--to",
        "c",
        "--prefix",
        "net",
        "-o",
        str(tmp_path / "out"),
        "--report",
    ]
    assert main([*command, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [file["path"] for file in document["files"]]
    assert [layer["name"] for layer in document["report"]["layers"]] == ["fc1", "fc2", "softmax"]
    assert document["report"]["macs"] == 12 * 32 + 32 * 4
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "table bytes" in out
    assert f"arena {document['report']['arena_bytes']}" in out
    assert ("not measured: " in out) == bool(document["report"]["missing"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--to", "blob", "--prefer", "size"], "no choice of forms for the exporter 'blob'"),
        (["--to", "blob", "--report"], "no report of the exporter 'blob'"),
        (["--to", "tflite", "--max-table-bits", "4"], "does not take --max-table-bits"),
        (["--to", "c", "--max-table-bits", "40"], "decode tables of 40 bits"),
        (["--to", "c", "--prefer", "size"], "forms are chosen for integer networks"),
    ],
)
def test_what_an_exporter_does_not_take_is_said(
    options: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = saved(_coded() if "40" in options else classifier(), tmp_path / "m.rcz")
    assert main(["export", model, "-o", str(tmp_path / "out"), *options]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()
