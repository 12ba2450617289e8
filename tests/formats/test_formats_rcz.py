"""The .rcz container: whole round trips, golden files, and any bytes as a network or a FormatError."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from checks import networks
from checks.encodings import bits_of, check_offset
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed import rcz as malformed

from refcompress import encodings, ops
from refcompress.encodings import encode
from refcompress.errors import FormatError, ModelError
from refcompress.formats import rcz
from refcompress.formats.rcz import layout
from refcompress.graph import Graph, Node, TensorSpec

GOLDEN = sorted((Path(__file__).parent.parent / "golden").glob("v1_*.rcz"))
SPEC = Path(rcz.__file__).with_name("SPEC.md").read_text(encoding="utf-8")
MAKERS = [networks.chain_network, networks.branched_network, networks.nested_network]


def same_network(a: Graph, b: Graph) -> bool:
    """Compare structure and packed parameters."""
    structure = a.inputs == b.inputs and a.outputs == b.outputs and a.nodes == b.nodes
    return structure and _packed(a) == _packed(b)


def _packed(graph: Graph) -> dict[str, tuple[tuple[int, ...], bytes]]:
    return {name: (encoding.shape, encodings.pack(encoding)) for name, encoding in graph.params.items()}


def read_any(data: bytes) -> Graph | None:
    """Read a network that can be written again, or None where there was a FormatError with an offset."""
    try:
        graph = rcz.from_bytes(data)
    except FormatError as error:
        check_offset(error, 0, len(data))
        return None
    assert same_network(rcz.from_bytes(rcz.to_bytes(graph)), graph)
    return graph


def inflate(data: bytes) -> tuple[bytes, bytes]:
    """Return the text of a header and the bytes of the tensors."""
    end = 12 + int.from_bytes(data[9:12], "little")
    return zlib.decompressobj(-15, layout.DICTIONARY).decompress(data[12:end]), data[end:-4]


@pytest.mark.parametrize("maker", MAKERS)
def test_a_network_comes_back_to_the_last_bit(maker: Callable[[int], Graph], tmp_path: Path) -> None:
    graph = maker(0)
    data = rcz.to_bytes(graph)
    assert same_network(rcz.from_bytes(data), graph)
    assert rcz.to_bytes(rcz.from_bytes(data)) == data
    rcz.save(graph, tmp_path / "network.rcz")
    assert (tmp_path / "network.rcz").read_bytes() == data
    assert same_network(rcz.load(tmp_path / "network.rcz"), graph)
    assert [path.name for path in tmp_path.iterdir()] == ["network.rcz"]


def test_the_order_of_parameters_in_a_graph_does_not_change_the_bytes() -> None:
    graph = networks.chain_network(0)
    turned = Graph(graph.inputs, graph.outputs, graph.nodes, dict(reversed(graph.params.items())))
    assert rcz.to_bytes(turned) == rcz.to_bytes(graph)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_old_files_load_to_the_same_bits_and_are_written_alike(path: Path) -> None:
    data = path.read_bytes()
    graph = rcz.from_bytes(data)
    with np.load(path.with_suffix(".npz")) as archive:
        expected = {str(name): archive[f"a{i}"] for i, name in enumerate(archive["names"])}
    assert set(graph.params) == set(expected)
    for name, bits in expected.items():
        assert np.array_equal(bits_of(encodings.decode(graph.params[name])), bits)
    # another deflate than the one that wrote the file may choose other bytes for the same text
    again = rcz.to_bytes(graph)
    assert inflate(again) == inflate(data)
    assert inflate(data)[0].decode() == path.with_suffix(".json").read_text(encoding="utf-8").rstrip("\n")


def test_there_are_golden_files() -> None:
    assert {"v1_branched", "v1_chain", "v1_nested"} <= {path.stem for path in GOLDEN}


def test_defaults_and_dictionary_are_those_of_the_spec() -> None:
    size, checksum = re.findall(r"(\d+) bytes of ASCII, CRC-32 `(\w+)`", SPEC)[0]
    text = SPEC.split("```text\n")[1].split("```")[0].replace("\n", "")
    assert text.encode() == layout.DICTIONARY
    assert len(layout.DICTIONARY) == int(size) == 1483  # version 1 of the format has this dictionary for ever
    assert zlib.crc32(layout.DICTIONARY) == int(checksum, 16) == 0x97E79D15
    rows = re.findall(r"^\| (\w+) \| (.*) \|$", SPEC.split("| operator | defaults |")[1], re.MULTILINE)
    pairs = {op: re.findall(r"(\w+) (\[[^]]*\]|[^,]+)", row) for op, row in rows}
    defaults = {op: {key: json.loads(value) for key, value in found} for op, found in pairs.items()}
    assert defaults == layout.DEFAULTS


def test_operators_their_roles_and_attributes_are_those_of_the_spec() -> None:
    section = SPEC.split("| operator | roles in order | attributes |")[1].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines()[2:]]
    assert [name for name, *_ in rows] == sorted(ops.OPS)
    for name, roles, attributes in rows:
        op = ops.OPS[name]
        assert [role for role in roles.split(", ") if role] == [
            f"{role}?" if role in op.optional_roles else role for role in op.roles
        ]
        fields = [field.name for field in dataclasses.fields(op.attrs)]
        assert [word for word in re.sub(r" \([^)]*\)", "", attributes).split(", ") if word] == fields


def test_defaults_are_attributes_of_their_operators() -> None:
    for op, defaults in layout.DEFAULTS.items():
        assert ops.attrs_to_dict(ops.make_attrs(op, defaults)) == defaults


@pytest.mark.parametrize("case", malformed.CASES, ids=lambda case: f"{case.constraint} {case.what}")
def test_a_malformed_container_is_refused_where_it_breaks(case: malformed.Case) -> None:
    with pytest.raises(FormatError, match=re.escape(case.message)) as caught:
        rcz.from_bytes(case.data)
    assert caught.value.offset_bytes == case.offset_bytes


def test_every_constraint_of_the_spec_has_a_malformed_container() -> None:
    numbers = re.findall(r"\*\*(C\d+)\.\*\*", SPEC)
    assert sorted(numbers) == sorted(set(numbers))
    assert {case.constraint for case in malformed.CASES} == set(numbers)


def test_the_container_that_the_malformed_ones_are_made_of_is_sound() -> None:
    graph = rcz.from_bytes(malformed.SOUND)
    assert [node.op for node in graph.nodes] == ["Relu"]
    assert rcz.to_bytes(graph) == malformed.SOUND


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_no_truncation_is_a_network(path: Path) -> None:
    data = path.read_bytes()
    for size in range(0, len(data) - 4, 7):
        assert read_any(data[:size]) is None
        assert read_any(malformed.seal(data[:size])) is None


@settings(max_examples=200)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_network_or_a_format_error(data: bytes) -> None:
    read_any(data)
    read_any(rcz.MAGIC + data)
    read_any(malformed.frame(data))


@settings(max_examples=200)
@given(st.sampled_from(GOLDEN), st.lists(st.integers(0, 1 << 20), min_size=1, max_size=3))
def test_flipped_bits_are_seen_and_under_a_right_checksum_do_no_harm(path: Path, bits: list[int]) -> None:
    data = bytearray(path.read_bytes())
    for bit in set(bits):
        data[bit // 8 % len(data)] ^= 1 << bit % 8
    if bytes(data) != path.read_bytes():
        assert read_any(bytes(data)) is None
    read_any(malformed.seal(bytes(data[:-4])))


@settings(max_examples=300)
@given(st.sampled_from(GOLDEN), st.data())
def test_any_change_of_the_text_of_a_header_is_a_network_or_a_format_error(path: Path, data: st.DataObject) -> None:
    text, tensors = inflate(path.read_bytes())
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(len(text), start + 8)))
    fresh = data.draw(
        st.sampled_from(
            [b"", b"0", b"-1", b"4", b"[]", b'"x"', b"{}", b",", b"null", b"true", b"2147483648", b"1.5", b"]"]
        )
    )
    read_any(malformed.container(text[:start] + fresh + text[stop:], tensors))


@settings(max_examples=300)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=5)
        | st.sampled_from(["Relu", "Conv", "Add", "x"]),
        lambda items: (
            st.lists(items, max_size=4) | st.dictionaries(st.sampled_from(["i", "o", "p", "axis", "q"]), items)
        ),
        max_leaves=20,
    )
)
def test_any_json_is_a_network_or_a_format_error(document: object) -> None:
    read_any(malformed.container(json.dumps(document)))
    read_any(malformed.container(json.dumps([[["x", 4, 4, 1]], [["Conv", "c"], document], [[1, 1, 1, 8]]])))


@pytest.mark.parametrize(
    "text",
    [
        b"[[],[],[" + b"[]," * 349_000 + b"[]]]",
        b"[" + b'{"":{}},' * 130_000 + b"0]",
        b'[[["x",4]],[' + b",".join(b'["Relu","%x"]' % i for i in range(20_000)) + b"],[]]",
        b"[" * (1 << 20),
        b" " * (1 << 24),
    ],
    ids=["lists", "objects", "nodes", "depth", "bomb"],
)
def test_no_header_allocates_more_than_64_mib(text: bytes) -> None:
    data = malformed.container(text)
    tracemalloc.start()
    try:
        with contextlib.suppress(FormatError):
            rcz.from_bytes(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (64 << 20) + 48 * len(data)


def lenet_5() -> Graph:
    """Build LeNet-5 with weights of zero."""
    pool = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0)}
    one = {"strides": (1, 1), "pads": (0, 0, 0, 0), "dilations": (1, 1), "group": 1}
    shapes = {"conv1": (5, 5, 1, 20), "conv2": (5, 5, 20, 50), "ip1": (800, 500), "ip2": (500, 10)}
    params = {f"{name}/weight": encode(np.zeros(shape)) for name, shape in shapes.items()}
    params |= {f"{name}/bias": encode(np.zeros(shape[-1])) for name, shape in shapes.items()}

    def roles(name: str) -> dict[str, str]:
        return {role: f"{name}/{role}" for role in ("weight", "bias")}

    nodes = (
        networks.node("Conv", "conv1", "image", params=roles("conv1"), **one),
        networks.node("MaxPool", "pool1", "conv1", **pool),
        networks.node("Conv", "conv2", "pool1", params=roles("conv2"), **one),
        networks.node("MaxPool", "pool2", "conv2", **pool),
        networks.node("Flatten", "flatten", "pool2"),
        networks.node("Gemm", "ip1", "flatten", params=roles("ip1")),
        networks.node("Relu", "relu1", "ip1"),
        networks.node("Gemm", "ip2", "relu1", params=roles("ip2")),
        networks.node("Softmax", "softmax", "ip2"),
    )
    return Graph((TensorSpec("image", (28, 28, 1)),), ("softmax",), nodes, params)


def test_the_container_of_a_lenet_5_is_120_bytes_longer_than_its_tensors_at_most() -> None:
    graph = lenet_5()
    tensors = sum(len(encodings.pack(encoding)) for encoding in graph.params.values())
    assert len(rcz.to_bytes(graph)) - tensors <= 120  # another deflate may need some bytes more


@pytest.mark.parametrize(
    "graph",
    [
        Graph((), (), (), {"w": encode(np.zeros((0, 3)))}),
        Graph((), (), (), {"": encode([1.0])}),
        Graph((), (), (), {"\ud800": encode([1.0])}),
        Graph((TensorSpec("x" * 1025, (4,)),), (), (), {}),
        Graph((TensorSpec("x", (4,)),), ("y",), (Node("Rely", "y", ("x",), "y"),), {}),
        Graph(
            (TensorSpec("x", (4, 4)),),
            ("y",),
            (networks.node("Gemm", "y", "x", params={"weight": "w"}),),
            {"w": encode([1.0])},
        ),
    ],
    ids=["empty array", "no name", "half a surrogate", "long name", "operator", "shapes"],
)
def test_what_could_not_be_read_is_not_written(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "old.rcz").write_bytes(b"old")
    with pytest.raises(ModelError):
        rcz.save(graph, tmp_path / "old.rcz")
    assert (tmp_path / "old.rcz").read_bytes() == b"old"
