"""Transpose, Slice, Expand, DepthToSpace, SpaceToDepth and Gather: elements elsewhere, by their definitions."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from checks.encodings import all_nestings, build
from checks.gradients import check_grad
from checks.ops import assert_same_bits, check_op, check_table
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress import encodings
from refcompress.errors import DataError, ModelError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import OPS, NoAttrs
from refcompress.ops.base import deterministic_gamma
from refcompress.ops.depth_to_space import DepthToSpace
from refcompress.ops.expand import Expand
from refcompress.ops.slice import Slice
from refcompress.ops.space_to_depth import SpaceToDepth
from refcompress.ops.transpose import Transpose
from refcompress.run import run

sizes = st.integers(1, 4)
few = settings(max_examples=30)


def numbered(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Distinct values, so that each element can be told from the others."""
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def check(name: str, attrs: Any, x: NDArray[Any], oracle: Any) -> None:
    check_op(
        OPS[name],
        attrs,
        [x],
        lambda inputs, _: oracle(inputs[0]),
        exact_oracle=lambda inputs, _: oracle(inputs[0]).astype(np.float32),
    )
    check_grad(OPS[name], attrs, [x / x.size])


@given(st.lists(sizes, min_size=0, max_size=4), st.randoms(use_true_random=False))
@few
def test_transpose_moves_each_index(shape: list[int], random: Any) -> None:
    perm = list(range(1, len(shape) + 1))
    random.shuffle(perm)
    perm = [0, *perm]

    def loops(x: NDArray[Any]) -> NDArray[Any]:
        out = np.zeros([x.shape[axis] for axis in perm])
        for index in np.ndindex(*out.shape):
            source = [0] * len(index)
            for place, axis in zip(index, perm, strict=True):
                source[axis] = place
            out[index] = x[tuple(source)]
        return out

    check("Transpose", Transpose(tuple(perm)), numbered((2, *shape)), loops)


def onnx_indices(size: int, start: int, end: int, step: int) -> list[int]:
    """Follow ONNX's words: negative ones get the size added, then both are clamped, then one steps."""
    start, end = start + size * (start < 0), end + size * (end < 0)
    low, high = (0, size) if step > 0 else (0, size - 1)
    index = min(max(start, low), high)
    end = min(max(end, 0 if step > 0 else -1), high)
    found = []
    while index < end if step > 0 else index > end:
        found.append(index)
        index += step
    return found


edges = st.sampled_from([-(2**31) + 1, -7, -3, -2, -1, 0, 1, 2, 3, 7, 2**31 - 1])


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.data())
@settings(max_examples=60)
def test_slice_takes_what_onnx_says(shape: list[int], data: st.DataObject) -> None:
    axes = data.draw(st.lists(st.integers(1, len(shape)), min_size=1, unique=True))
    starts, ends = ([data.draw(edges) for _ in axes] for _ in range(2))
    steps = [data.draw(st.sampled_from([1, 2, 3, -1, -2])) for _ in axes]
    attrs = Slice(tuple(axes), tuple(starts), tuple(ends), tuple(steps))
    taken = [list(range(size)) for size in shape]
    for axis, *cut in zip(axes, starts, ends, steps, strict=True):
        taken[axis - 1] = onnx_indices(shape[axis - 1], *cut)
    if not all(taken):
        with pytest.raises(ModelError, match="take nothing of axis"):
            OPS["Slice"].infer_shape(attrs, [tuple(shape)], {})
        return
    check("Slice", attrs, numbered((2, *shape)), lambda x: np.array([sample[np.ix_(*taken)] for sample in x]))


@given(
    st.lists(st.tuples(sizes, st.sampled_from(["both", "ours", "theirs"])), max_size=3), st.integers(0, 2), st.data()
)
@few
def test_expand_broadcasts_as_numpy(axes: list[tuple[int, str]], extra: int, data: st.DataObject) -> None:
    ours = tuple(1 if whose == "theirs" else size for size, whose in axes)
    theirs = tuple(1 if whose == "ours" else size for size, whose in axes)
    theirs = tuple(data.draw(sizes) for _ in range(extra)) + theirs if data.draw(st.booleans()) else theirs[extra:]
    wanted = np.broadcast_shapes(ours, theirs)
    check("Expand", Expand(theirs), numbered((2, *ours)), lambda x: np.array([np.broadcast_to(s, wanted) for s in x]))


def spread_loops(x: NDArray[Any], block: int, mode: str) -> NDArray[Any]:
    batch, height, width, depth = x.shape
    channels = depth // block**2
    out = np.zeros((batch, height * block, width * block, channels))
    for n, y, z, c in np.ndindex(*out.shape):
        by, bx = y % block, z % block
        source = (by * block + bx) * channels + c if mode == "DCR" else c * block**2 + by * block + bx
        out[n, y, z, c] = x[n, y // block, z // block, source]
    return out


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@given(sizes, sizes, st.integers(1, 3), st.integers(1, 3))
@few
def test_depth_to_space_spreads_channels(mode: str, height: int, width: int, channels: int, block: int) -> None:
    x = numbered((2, height, width, channels * block**2))
    check("DepthToSpace", DepthToSpace(block, mode), x, lambda x: spread_loops(x, block, mode))
    wide = spread_loops(x, block, mode)
    back = OPS["SpaceToDepth"].forward(SpaceToDepth(block, mode), [wide], {})
    assert np.array_equal(back, x), "SpaceToDepth undoes it"
    check("SpaceToDepth", SpaceToDepth(block, mode), wide, lambda _: x.astype(np.float64))


def test_pixel_shuffle_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="compares with PyTorch where it is installed")
    x = numbered((2, 3, 4, 18))
    wanted = torch.nn.functional.pixel_shuffle(torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), 3).numpy()
    got = OPS["DepthToSpace"].forward(DepthToSpace(3, "CRD"), [x], {})
    assert np.array_equal(got, wanted.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("name", ["Transpose", "Slice", "Expand", "DepthToSpace", "SpaceToDepth"])
def test_errors_move_with_their_elements(name: str) -> None:
    attrs = {
        "Transpose": Transpose((0, 3, 1, 2)),
        "Slice": Slice((1,), (-1,), (-9,), (-1,)),
        "Expand": Expand((3, 1, 1, 1)),
        "DepthToSpace": DepthToSpace(2),
        "SpaceToDepth": SpaceToDepth(2),
    }[name]
    x = numbered((2, 2, 4, 8))
    op = OPS[name]
    y = op.forward(attrs, [x], {})
    assert np.array_equal(op.error_bound(attrs, [x], [x / 2], {}, y, deterministic_gamma), y / 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transpose((1, 0)), "batch axis 0 first"),
        (lambda: Transpose((0, 2)), "each axis once"),
        (lambda: Transpose(()), "batch axis 0 first"),
        (lambda: Slice((0,), (0,), (1,), (1,)), "at least 1"),
        (lambda: Slice((1,), (0,), (1,), (0,)), "none may be 0"),
        (lambda: Slice((1,), (0, 1), (1,), (1,)), "one of each"),
        (lambda: Slice((1, 1), (0, 1), (1, 1), (1, 1)), "distinct"),
        (lambda: Expand((2, 0)), "at least 1"),
        (lambda: DepthToSpace(0), "blocksize"),
        (lambda: DepthToSpace(2, "RDC"), "DCR, CRD"),
        (lambda: SpaceToDepth(0), "blocksize"),
        (lambda: SpaceToDepth(2, "dcr"), "DCR, CRD"),
        (lambda: OPS["Transpose"].infer_shape(Transpose((0, 1)), [(2, 3)], {}), "must name 3 axes"),
        (lambda: OPS["Slice"].infer_shape(Slice((3,), (0,), (1,), (1,)), [(2, 3)], {}), "last axis is 2"),
        (lambda: OPS["Expand"].infer_shape(Expand((3, 2)), [(2, 2)], {}), "do not broadcast"),
        (lambda: OPS["DepthToSpace"].infer_shape(DepthToSpace(2), [(2, 2, 6)], {}), "4 divides"),
        (lambda: OPS["SpaceToDepth"].infer_shape(SpaceToDepth(2), [(2, 3, 6)], {}), "2 divides"),
        (lambda: OPS["Gather"].infer_shape(NoAttrs(), [(2,)], {"weight": (5,)}), r"\(rows, dim\)"),
    ],
)
def test_what_does_not_fit_is_named(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()


@pytest.mark.parametrize("nesting", all_nestings(), ids=str)
def test_gather_reads_rows_of_any_encoding(nesting: Any) -> None:
    table = np.random.default_rng(0).choice(np.array([0, 0, 0.5, -2, 1.25], np.float32), (5, 3))
    encoding = build(nesting, table)
    ids = np.random.default_rng(1).integers(0, 5, (6, 2)).astype(np.float32)
    wanted = encodings.decode(encoding)[ids.astype(int)]
    assert_same_bits(OPS["Gather"].exact(NoAttrs(), [ids], {"weight": encoding}), wanted)


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_gather_looks_each_index_up(shape: tuple[int, ...]) -> None:
    op, table = OPS["Gather"], numbered((5, 3))
    check_table(op, NoAttrs())
    params = {"weight": encodings.encode(table)}
    ids = np.random.default_rng(1).integers(0, 5, (6, *shape))
    assert op.infer_shape(NoAttrs(), [shape], {"weight": (5, 3)}) == (*shape, 3)
    wanted = np.zeros((*ids.shape, 3), np.float32)
    for index in np.ndindex(*ids.shape):
        wanted[index] = table[ids[index]]
    for dtype, function in itertools.product((np.float32, np.float64), (op.forward, op.exact)):
        got = function(NoAttrs(), [ids.astype(dtype)], params)
        assert got.dtype == dtype
        assert_same_bits(got.astype(np.float32), wanted)
    assert op.forward(NoAttrs(), [ids[:0].astype(np.float32)], params).shape == (0, *shape, 3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gather_adds_up_what_a_row_was_used_for(dtype: Any) -> None:
    op, params = OPS["Gather"], {"weight": encodings.encode(numbered((4, 2)))}
    ids = np.array([[1, 3, 1], [1, 0, 3]], dtype)
    cotangent = numbered((2, 3, 2)).astype(dtype)
    table = np.zeros((4, 2), dtype)
    for n, i in np.ndindex(2, 3):
        table[int(ids[n, i])] += cotangent[n, i]
    output = op.forward(NoAttrs(), [ids], params)
    (back,), by_role = op.vjp(NoAttrs(), [ids], params, output, cotangent)
    assert back.dtype == by_role["weight"].dtype == dtype
    assert not back.any()
    assert np.array_equal(by_role["weight"], table)
    assert op.param_vjp is not None
    assert np.array_equal(op.param_vjp(NoAttrs(), [ids], params, output, cotangent)["weight"], table)


@pytest.mark.parametrize("index", [-1.0, 4.0, 0.5, np.nan, np.inf])
def test_an_index_that_is_no_row_is_named(index: float) -> None:
    nodes = (Node("Gather", "embedding", ("ids",), "y", {"weight": "table"}, NoAttrs()),)
    graph = Graph((TensorSpec("ids", (2,)),), ("y",), nodes, {"table": encodings.encode(numbered((4, 2)))})
    with pytest.raises(DataError, match=f"the index {index} into a table of 4 rows; allowed are .* 0 to 3"):
        run(graph, np.array([[0, 3], [0, index]]))


def test_an_index_that_may_be_another_promises_nothing() -> None:
    params = {"weight": encodings.encode(numbered((4, 2)))}
    ids, errors = np.array([[1.0, 2.0]]), np.array([[0.4, 0.5]])
    output = OPS["Gather"].forward(NoAttrs(), [ids], params)
    bound = OPS["Gather"].error_bound(NoAttrs(), [ids], [errors], params, output, deterministic_gamma)
    assert bound.tolist() == [[[0.0, 0.0], [np.inf, np.inf]]]
