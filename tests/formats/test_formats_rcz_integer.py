"""Integer networks in containers: round trips, sizes, and any bytes as a network or a FormatError."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import networks
from checks.encodings import check_offset
from checks.integer_networks import linear_weight, single
from hypothesis import given, settings
from hypothesis import strategies as st
from malformed import rcz as malformed

import refcompress
from refcompress.encodings import decode, encode, integers, pack
from refcompress.errors import FormatError
from refcompress.formats import rcz
from refcompress.formats.rcz import integer, layout
from refcompress.formats.rcz.container import INTEGER_VERSION
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.integer import IntegerNetwork, Quantization, run_integer, smallest
from refcompress.ops import make_attrs
from refcompress.passes import prune, share_weights
from refcompress.post_training import quantize_network

SPEC = Path(rcz.__file__).with_name("SPEC.md").read_text(encoding="utf-8")


def _network(seed: int = 0, *, shared: bool = True) -> IntegerNetwork:
    """Return two dense layers with a clamp between them, pruned and shared if asked for."""
    rng = np.random.default_rng(seed)
    shapes = {"a": (20, 12), "b": (12, 3)}
    params = {f"{name}/weight": encode(rng.standard_normal(shape)) for name, shape in shapes.items()}
    params |= {f"{name}/bias": encode(rng.standard_normal(shape[1])) for name, shape in shapes.items()}
    roles = {name: {role: f"{name}/{role}" for role in ("weight", "bias")} for name in shapes}
    nodes = (
        Node("Gemm", "a", ("x",), "a", roles["a"], make_attrs("Gemm", {})),
        Node("Relu", "r", ("a",), "r", {}, make_attrs("Relu", {})),
        Node("Flatten", "f", ("r",), "f", {}, make_attrs("Flatten", {})),
        Node("Gemm", "b", ("f",), "b", roles["b"], make_attrs("Gemm", {})),
    )
    graph = Graph((TensorSpec("x", (20,)),), ("b",), nodes, params)
    if shared:
        graph = share_weights.kmeans(prune.magnitude(graph, sparsity=0.5), bits=2)
    network = quantize_network(graph, rng.standard_normal((50, 20)))
    return smallest(network)


def same(a: IntegerNetwork, b: IntegerNetwork) -> bool:
    """Compare structure, packed weights, quantizations and the integers of biases."""
    structure = (a.graph.inputs, a.graph.outputs, a.graph.nodes) == (b.graph.inputs, b.graph.outputs, b.graph.nodes)
    tables = a.quantizations == b.quantizations and {k: v.tolist() for k, v in a.biases.items()} == {
        k: v.tolist() for k, v in b.biases.items()
    }
    packed = [{name: pack(each) for name, each in network.graph.params.items()} for network in (a, b)]
    return structure and tables and packed[0] == packed[1]


def read_any(data: bytes) -> IntegerNetwork | None:
    """Read a network that can be written again, or None where there was a FormatError with an offset."""
    try:
        network = integer.from_bytes(data)
    except FormatError as error:
        check_offset(error, 0, len(data))
        return None
    assert same(integer.from_bytes(integer.to_bytes(network)), network)
    return network


@pytest.mark.parametrize("shared", [False, True])
def test_a_network_comes_back_to_the_last_bit(shared: bool, tmp_path: Path) -> None:
    network = _network(shared=shared)
    integer.save(network, tmp_path / "n.rcz")
    again = integer.load(tmp_path / "n.rcz")
    assert same(again, network)
    assert integer.to_bytes(again) == (tmp_path / "n.rcz").read_bytes()
    x = np.random.default_rng(1).integers(-128, 128, (30, 20))
    assert np.array_equal(run_integer(again, x)[0], run_integer(network, x)[0])


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_biases_take_as_many_bytes_as_their_largest_needs(width: int) -> None:
    ends = [-(1 << (8 * width - 1)), (1 << (8 * width - 1)) - 1]
    for bias in (np.array([*ends, 0, -1]), np.array([ends[0], 0, 0, 0]), np.array([0, ends[1], 0, 0])):
        network = single(
            "Gemm",
            {},
            [((3,), Quantization(0.1, 3))],
            Quantization(0.7, 0, 6),
            weight=linear_weight(np.ones((3, 4), int), [0.25]),
            bias=bias.astype(np.int32),
        )
        data = integer.to_bytes(network)
        again = integer.from_bytes(data)
        assert again.biases["b"].tolist() == bias.tolist()
        assert again.quantizations == network.quantizations
        text = _inflate(data)[0]
        assert json.loads(text)[2][1] == ["=b", 4, 4 * width] or json.loads(text)[2][1] == ["b", 4, 4 * width]


@given(st.floats(2.0**-120, 2.0**100, width=32), st.integers(-128, 127))
def test_every_scale_survives(scale: float, zero_point: int) -> None:
    quantization = Quantization(scale, zero_point)
    network = single("Flatten", {}, [((3,), quantization)], quantization)
    assert integer.from_bytes(integer.to_bytes(network)).quantizations["y"] == quantization


def _inflate(data: bytes) -> tuple[bytes, bytes]:
    end = 12 + int.from_bytes(data[9:12], "little")
    return zlib.decompressobj(-15, layout.DICTIONARY).decompress(data[12:end]), data[end:-4]


def test_the_two_kinds_of_containers_name_each_other(tmp_path: Path) -> None:
    integer.save(_network(), tmp_path / "integer.rcz")
    refcompress.save(_network().graph, tmp_path / "real.rcz")
    with pytest.raises(FormatError, match=r"integer network; refcompress.load_integer reads it"):
        refcompress.load(tmp_path / "integer.rcz")
    with pytest.raises(FormatError, match=r"real numbers; refcompress.load reads it"):
        integer.load(tmp_path / "real.rcz")


GEMM = '[["Gemm","g"]]'
WEIGHT = pack(linear_weight(np.ones((1, 1), int), [0.5]))
PARAMS = f"[[1,1,{len(WEIGHT)}],[1,2]]"
SOUND = f'[[["x",1]],{GEMM},{PARAMS},["g"],[[0.1,0],[0.2,-3]]]'


def _container(text: str, tensors: bytes = WEIGHT + b"\x07\x00") -> bytes:
    return malformed.frame(malformed.deflate(text), tensors, version=INTEGER_VERSION)


CASES: list[tuple[str, str, str, Any, str]] = [
    ("I1", "no quantizations", SOUND.replace(",[[0.1,0],[0.2,-3]]]", "]"), None, "4 items"),
    ("I1", "one of two", SOUND.replace(",[0.2,-3]", ""), None, "1 quantizations of 2 activations"),
    ("I1", "three of two", SOUND.replace("[0.1,0]", "[0.1,0],0"), None, "3 quantizations of 2"),
    ("I2", "a scale of 0", SOUND.replace("0.1", "0"), None, "positive float32"),
    ("I2", "a negative scale", SOUND.replace("0.1", "-1"), None, "positive float32"),
    ("I2", "an infinite scale", SOUND.replace("0.1", "1e39"), None, "positive float32"),
    ("I2", "a truth for a scale", SOUND.replace("0.1", "true"), None, "must be a number"),
    ("I2", "a text for a scale", SOUND.replace("0.1", '"1"'), None, "must be a number"),
    ("I2", "a zero point of 128", SOUND.replace("-3", "128"), None, "zero point 128"),
    ("I2", "half a zero point", SOUND.replace("-3", "0.5"), None, "must be a scale"),
    ("I2", "nine bits", SOUND.replace("-3", "-3,9"), None, "9 bits"),
    ("I2", "four numbers", SOUND.replace("-3", "-3,8,8"), None, "must be a scale"),
    ("I2", "an object", SOUND.replace("[0.2,-3]", "{}"), None, "must be a scale"),
    ("I2", "that of itself", SOUND.replace("[0.2,-3]", "1"), None, "activation 1, which has none"),
    ("I2", "that of none", SOUND.replace("[[0.1,0],[0.2,-3]]", "[null,0]"), None, "activation 0, which has none"),
    ("I3", "half an integer", SOUND.replace("[1,2]", "[1,5]"), WEIGHT + bytes(5), "1 to 4 for each"),
    ("I3", "no bytes", SOUND.replace("[1,2]", "[1,0]"), WEIGHT, "1 to 4 for each"),
    ("I3", "two axes", SOUND.replace("[1,2]", "[1,1,2]"), None, "1 to 4 for each"),
    ("I4", "an input of none", SOUND.replace("[0.1,0]", "null"), None, "an input without a quantization"),
    ("I4", "an output of none", SOUND.replace("[0.2,-3]", "null"), None, "'g' has no quantization"),
    ("I4", "a weight of float32", SOUND.replace(str(len(WEIGHT)), "8"), malformed.TENSOR + b"\x07\x00", "Float32"),
    ("I4", "no integer form", SOUND.replace(GEMM, '[["Gemm","g"],["Erf","e"]]').replace("-3]", "-3],1"), None, "Erf"),
    ("I4", "two quantizations", '[[["x",1]],[["Flatten","f"]],[],["f"],[[0.1,0],[0.2,0]]]', b"", "must be the same"),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1]}")
def test_a_malformed_container_is_refused(case: tuple[str, str, str, Any, str]) -> None:
    data = _container(case[2]) if case[3] is None else _container(case[2], case[3])
    with pytest.raises(FormatError, match=re.escape(case[4])):
        integer.from_bytes(data)


def test_every_constraint_of_integer_networks_has_a_malformed_container() -> None:
    assert {case[0] for case in CASES} == set(re.findall(r"\*\*(I\d+)\.\*\*", SPEC))


def test_the_container_that_the_malformed_ones_are_made_of_is_sound() -> None:
    network = integer.from_bytes(_container(SOUND))
    assert network.biases["g/bias"].tolist() == [7]
    assert decode(network.graph.params["g/bias"])[0] == np.float32(7 * float(np.float32(0.1)) * 0.5)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 1 << 20), min_size=1, max_size=3))
def test_flipped_bits_are_seen_and_under_a_right_checksum_do_no_harm(bits: list[int]) -> None:
    data = bytearray(integer.to_bytes(_network()))
    for bit in set(bits):
        data[bit // 8 % len(data)] ^= 1 << bit % 8
    assert read_any(bytes(data)) is None
    read_any(malformed.seal(bytes(data[:-4])))


@settings(max_examples=100)
@given(st.data())
def test_any_change_of_the_text_of_a_header_is_a_network_or_a_format_error(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(SOUND)))
    stop = data.draw(st.integers(start, min(len(SOUND), start + 8)))
    fresh = data.draw(st.sampled_from(["", "0", "-1", "4", "[]", '"x"', "{}", ",", "null", "true", "1.5", "]", "1e99"]))
    read_any(_container(SOUND[:start] + fresh + SOUND[stop:]))


GOLDEN = Path(__file__).parent.parent / "golden" / "v2_integer.rcz"


def test_the_golden_container_holds_the_integers_it_was_made_of_and_is_written_again_alike() -> None:
    data = GOLDEN.read_bytes()
    network = integer.from_bytes(data)
    with np.load(GOLDEN.with_suffix(".npz")) as archive:
        arrays = {str(name): archive[f"a{i}"] for i, name in enumerate(archive["names"])}
    for name in networks.INTEGER_WEIGHTS:
        weight = network.graph.params[name]
        assert np.array_equal(integers.rows_of(weight), arrays.pop(name))
        assert np.array_equal(integers.scales_of(weight).view(np.uint32), arrays.pop(f"{name} scales"))
    assert {name: bias.tolist() for name, bias in network.biases.items()} == {k: v.tolist() for k, v in arrays.items()}
    assert _inflate(data)[0].decode() == GOLDEN.with_suffix(".json").read_text(encoding="utf-8").rstrip("\n")
    assert integer.to_bytes(network) == data
