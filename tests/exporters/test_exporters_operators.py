"""Every float operator in exported C, with random attributes and on every machine, bit for bit the reference."""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from checks import targets
from checks.export import assert_same_bits, check_export
from checks.forms import C_USES, samples, use_graph
from checks.native import library
from checks.single_nodes import SINGLES, single_node
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import exporters.c
from exporters.lower import RULES, lower
from exporters.lowering import orders
from refcompress import Graph, Node, TensorSpec, encodings, ops
from refcompress.errors import ModelError
from refcompress.kernels.exact_pow import pow32

Floats = NDArray[np.float32]
WITH_TABLE = ("Gather",)  # inputs that no number may take the place of


class Branches:
    """Nodes that do not know of each other, each with inputs and parameters of its own."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.specs: list[TensorSpec] = []
        self.arrays: list[Floats] = []
        self.nodes: list[Node] = []
        self.params: dict[str, encodings.Encoding] = {}

    def add(self, op: str, shapes: Sequence[tuple[int, ...]], params: dict[str, tuple[int, ...]], **attrs: Any) -> None:
        """Add a node; its inputs hold zeros of both signs."""
        name = f"n{len(self.nodes)}"
        inputs = [f"{name}_{i}" for i in range(len(shapes))]
        specs = tuple(TensorSpec(*pair) for pair in zip(inputs, shapes, strict=True))
        self.specs += specs
        self.arrays += samples(self.rng, Graph(specs, (), (), {}), 2)
        roles = {role: f"{name} {role}" for role in params}
        self.params |= {roles[role]: encodings.encode(self.rng.normal(size=shape)) for role, shape in params.items()}
        self.nodes.append(Node(op, name, tuple(inputs), name, roles, ops.OPS[op].attrs(**attrs)))

    def check(self, *on: targets.Target) -> None:
        """Compile them as one network and compare."""
        graph = Graph(tuple(self.specs), tuple(node.output for node in self.nodes), tuple(self.nodes), self.params)
        check_export(graph, self.arrays, on=on or (targets.GCC,))


def every_operator(names: Sequence[str]) -> tuple[Graph, list[Floats]]:
    """One network of a branch for each operator; values are also very large, very small, infinite and NaN."""
    rng = np.random.default_rng(0)
    specs: list[TensorSpec] = []
    nodes, params, arrays = [], {}, []
    odd = np.array(
        [np.inf, -np.inf, np.nan, 1e-42, -1e-42, 3e38, -3e38, 0.0, -0.0, 90.0, -105.0, 1.0, -1.0], np.float32
    )
    for name in names:
        graph, inputs = single_node(name, rng)
        for array in inputs.values():
            if name not in WITH_TABLE:
                flat = array[1:].reshape(-1)
                flat[:: max(1, flat.size // odd.size)][: odd.size] = odd[: len(flat[:: max(1, flat.size // odd.size)])]
            arrays.append(array)
        specs += [TensorSpec(f"{name} {spec.name}", spec.shape) for spec in graph.inputs]
        params |= {f"{name} {role}": value for role, value in graph.params.items()}
        (node,) = graph.nodes
        roles = {role: f"{name} {role}" for role in node.params}
        sources = tuple(f"{name} {source}" for source in node.inputs)
        nodes.append(Node(name, name, sources, f"{name} y", roles, node.attrs))
    return Graph(tuple(specs), tuple(node.output for node in nodes), tuple(nodes), params), arrays


def test_every_operator_has_a_rule_and_is_documented() -> None:
    assert RULES.keys() == ops.OPS.keys()
    text = (targets.ROOT / "exporters" / "README.md").read_text(encoding="utf-8")
    table = text[text.index("## Operators") : text.index("## Integer networks")]
    assert ops.OPS.keys() <= set(re.findall(r"\w+", table))


@pytest.mark.parametrize(
    "target",
    [targets.GCC, targets.CLANG, targets.SANITIZED, targets.M4, targets.S390X],
    ids=lambda target: target.name,
)
def test_every_operator_equals_the_reference(target: targets.Target) -> None:
    check_export(*every_operator([*SINGLES]), on=(target,))


@pytest.mark.slow
@pytest.mark.parametrize("target", [targets.M3, targets.M33, targets.RV32, targets.X86], ids=lambda target: target.name)
def test_every_operator_on_other_machines(target: targets.Target) -> None:
    check_export(*every_operator([*SINGLES]), on=(target,))


@pytest.mark.parametrize("part", range(5))
def test_every_operator_on_a_machine_of_8_bits(part: int) -> None:
    # a double has 32 bits there, with which nothing but Pow computes
    graph, arrays = every_operator([name for name in SINGLES if name != "Pow"][part::5])
    check_export(graph, [array[:1] for array in arrays], on=(targets.AVR_16K,))


@pytest.mark.parametrize("use", C_USES)
@pytest.mark.parametrize("target", [targets.GCC, targets.SANITIZED, targets.M4], ids=lambda target: target.name)
def test_every_form_of_weights_equals_the_reference(target: targets.Target, use: str) -> None:
    rng = np.random.default_rng(6)
    graph = use_graph(rng, use)
    found = samples(rng, graph)
    if use == "gather":
        found = [rng.integers(0, 9, (2, 5)).astype(np.float32)]
    check_export(graph, found, on=(target,), max_table_bits=2)


def _axes(draw: Callable[..., Any], rank: int) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(1, rank), min_size=1, max_size=rank, unique=True)))


def _shape(draw: Callable[..., Any], *, least: int = 1, most: int = 4) -> tuple[int, ...]:
    return tuple(draw(st.lists(st.integers(1, 4), min_size=least, max_size=most)))


def _narrowed(draw: Callable[..., Any], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape that broadcasts to another."""
    cut = draw(st.integers(0, len(shape)))
    return tuple(draw(st.sampled_from([1, size])) for size in shape[cut:])


def _broadcast(b: Branches, draw: Callable[..., Any]) -> None:
    shape = _shape(draw)
    op = draw(st.sampled_from(["Add", "Sub", "Mul", "Div", "Max", "Min", "Pow"]))
    count = 2 if op in ("Sub", "Div", "Pow") else draw(st.integers(2, 3))
    b.add(op, [draw(st.sampled_from([shape, _narrowed(draw, shape)])) for _ in range(count)], {})


def _constants(b: Branches, draw: Callable[..., Any]) -> None:
    shape = _shape(draw)
    params = {"scale": _narrowed(draw, shape), "bias": _narrowed(draw, shape)}
    some = draw(st.sampled_from([["scale"], ["bias"], ["scale", "bias"]]))
    b.add("Affine", [shape], {role: params[role] for role in some})
    b.add("PRelu", [shape], {"slope": _narrowed(draw, shape)})
    b.add("Pow", [shape], {draw(st.sampled_from(["base", "exponent"])): _narrowed(draw, shape)})


def _functions(b: Branches, draw: Callable[..., Any]) -> None:
    number = draw(st.floats(-2, 2, width=32))
    for op in ("Elu", "LeakyRelu", "ThresholdedRelu"):
        b.add(op, [(7,)], {}, alpha=number)
    b.add("Celu", [(7,)], {}, alpha=abs(number) + 0.25)
    b.add("HardSigmoid", [(7,)], {}, alpha=number, beta=0.4)
    b.add("Gelu", [(7,)], {}, approximate=draw(st.sampled_from(["none", "tanh"])))


def _reductions(b: Branches, draw: Callable[..., Any]) -> None:
    shape = _shape(draw)
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin"):
        b.add(op, [shape], {}, axes=_axes(draw, len(shape)), keepdims=draw(st.booleans()))


def _normalizations(b: Branches, draw: Callable[..., Any]) -> None:
    shape = _shape(draw)
    axis = draw(st.integers(1, len(shape)))
    factors = dict.fromkeys(draw(st.sampled_from([[], ["scale"], ["scale", "bias"]])), shape[axis - 1 :])
    epsilon = draw(st.sampled_from([0.0, 1e-5, 0.1]))
    b.add("LayerNormalization", [shape], factors, axis=axis, epsilon=epsilon)
    b.add("RMSNormalization", [shape], {"scale": shape[axis - 1 :]}, axis=axis, epsilon=epsilon)
    b.add("LpNormalization", [shape], {}, axis=axis, epsilon=epsilon)
    groups = draw(st.integers(1, 3))
    wide = (*shape[:-1], groups * shape[-1])
    b.add("GroupNormalization", [wide], {"scale": wide[-1:], "bias": wide[-1:]}, num_groups=groups, epsilon=epsilon)


def _layouts(b: Branches, draw: Callable[..., Any]) -> None:
    shape = _shape(draw)
    b.add("Transpose", [shape], {}, perm=(0, *draw(st.permutations(range(1, len(shape) + 1)))))
    axes = _axes(draw, len(shape))
    step = draw(st.sampled_from([1, 2, -1, -2]))
    starts, ends = (0, 10) if step > 0 else (-1, -10)
    many = len(axes)
    b.add("Slice", [shape], {}, axes=axes, starts=(starts,) * many, ends=(ends,) * many, steps=(step,) * many)
    b.add("Expand", [_narrowed(draw, shape)], {}, shape=shape)
    block, mode = draw(st.integers(1, 3)), draw(st.sampled_from(["DCR", "CRD"]))
    b.add("DepthToSpace", [(2, 3, 2 * block**2)], {}, blocksize=block, mode=mode)
    b.add("SpaceToDepth", [(2 * block, 3 * block, 2)], {}, blocksize=block, mode=mode)


def _planes(b: Branches, draw: Callable[..., Any]) -> None:
    size = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    new = (draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    for mode in ("nearest", "linear"):
        coordinates = draw(st.sampled_from(["half_pixel", "asymmetric", "align_corners"]))
        nearest = draw(st.sampled_from(["floor", "round_prefer_floor", "round_prefer_ceil", "ceil"]))
        b.add("Resize", [(*size, 3)], {}, size=new, mode=mode, coordinates=coordinates, nearest=nearest)
    group = draw(st.integers(1, 2))
    strides, dilations = ((draw(st.integers(1, 3)), draw(st.integers(1, 2))) for _ in range(2))
    kernel = (draw(st.integers(2, 3)), draw(st.integers(2, 3)))
    pads = tuple(draw(st.integers(0, 1)) for _ in range(4))
    full = [(s - 1) * t + (k - 1) * d + 1 for s, t, k, d in zip((3, 4), strides, kernel, dilations, strict=True)]
    assert min(full) > 2
    roles = {"weight": (*kernel, 2 * group, 3), "bias": (3 * group,)}
    b.add(
        "ConvTranspose",
        [(3, 4, 2 * group)],
        roles if draw(st.booleans()) else {"weight": roles["weight"]},
        strides=strides,
        pads=pads,
        dilations=dilations,
        output_padding=(draw(st.integers(0, 2)), 0),
        group=group,
    )


def _matrices(b: Branches, draw: Callable[..., Any]) -> None:
    lead = _shape(draw, least=0, most=3)
    m, k, n = (draw(st.integers(1, 4)) for _ in range(3))
    b.add("MatMul", [(*lead, m, k), (*_narrowed(draw, lead), k, n)], {})
    b.add("LogSoftmax", [(m, k)], {})


@settings(max_examples=6, phases=[Phase.generate])  # each is compiled, and shrinking one would take minutes
@given(st.integers(0, 99), st.data())
@pytest.mark.parametrize(
    "make",
    [_broadcast, _constants, _functions, _reductions, _normalizations, _layouts, _planes, _matrices],
    ids=lambda make: make.__name__[1:],
)
def test_random_attributes_equal_the_reference(
    make: Callable[[Branches, Callable[..., Any]], None], seed: int, data: st.DataObject
) -> None:
    b = Branches(seed)
    for _ in range(3):
        make(b, data.draw)
    b.check()


def test_combinations_work_in_place() -> None:
    relu = Node("Relu", "relu", ("x",), "h", attrs=ops.NoAttrs())
    column = Node("Reshape", "column", ("h",), "c", attrs=ops.make_attrs("Reshape", {"shape": [1, 3]}))
    nodes = [
        *(relu, column),
        Node("Mul", "outer", ("h", "c"), "o", attrs=ops.NoAttrs()),  # the same memory, in two orders
        Node("Sub", "wide", ("z", "o"), "w", attrs=ops.NoAttrs()),
        Node("Max", "last", ("w", "z", "w"), "y", attrs=ops.NoAttrs()),
    ]
    graph = Graph((TensorSpec("x", (3, 1)), TensorSpec("z", (3,))), ("y",), tuple(nodes), {})
    check_export(graph, samples(np.random.default_rng(0), graph), on=(targets.GCC, targets.SANITIZED))


def test_what_moves_nothing_costs_nothing() -> None:
    attrs = {"axes": (1, 2), "starts": (0, 0), "ends": (9, 9), "steps": (1, 1)}
    nodes = (
        Node("Transpose", "a", ("x",), "h", attrs=ops.OPS["Transpose"].attrs((0, 2, 1, 3))),
        Node("Slice", "b", ("h",), "g", attrs=ops.OPS["Slice"].attrs(**attrs)),
        Node("Relu", "c", ("g",), "y", attrs=ops.NoAttrs()),
    )
    assert len(lower(Graph((TensorSpec("x", (1, 4, 3)),), ("y",), nodes, {})).steps) == 1


def test_a_square_is_a_product() -> None:
    params = {"two": encodings.encode(np.full((1, 3), 2.0))}
    node = Node("Pow", "square", ("x",), "y", {"exponent": "two"}, ops.NoAttrs())
    graph = Graph((TensorSpec("x", (2, 3)),), ("y",), (node,), params)
    assert [step.kernel for step in lower(graph).steps] == ["broadcast_mul"]
    check_export(graph, samples(np.random.default_rng(0), graph), on=(targets.GCC,))


def test_too_many_axes_are_named() -> None:
    shape = (2,) * 7
    perm = (0, 7, 6, 5, 4, 3, 2, 1)
    node = Node("Transpose", "turned", ("x",), "y", attrs=ops.OPS["Transpose"].attrs(perm))
    with pytest.raises(ModelError, match=r"node 'turned': 7 axes that do not run on into each other; at most 6"):
        exporters.c.export(Graph((TensorSpec("x", shape),), ("y",), (node,), {}), prefix="net")


@given(st.data())
def test_joined_axes_reach_the_same_elements(data: st.DataObject) -> None:
    shape = _shape(data.draw)
    given_shape = _narrowed(data.draw, shape)
    strides = [orders.contiguous(shape), orders.repeated(given_shape, shape)]
    full = np.arange(int(np.prod(given_shape)))
    wanted = [np.arange(int(np.prod(shape))), np.broadcast_to(full.reshape(given_shape), shape).reshape(-1)]
    for axes, expected in zip(orders.axes("n", shape, *strides), wanted, strict=True):
        offsets = np.zeros(axes.sizes, np.int64)
        for place in np.ndindex(axes.sizes):
            offsets[place] = np.dot(place, axes.strides)
        np.testing.assert_array_equal(offsets.reshape(-1), expected)


SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0, 2.0**24, 2.0**24 - 1, np.inf, -np.inf, np.nan, 1e-45, 3e38]
WORDS = st.integers(0, 2**32 - 1)


@given(st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=20), st.lists(st.sampled_from(SPECIAL), max_size=6))
def test_powers_equal_their_twin_on_any_pattern(words: list[tuple[int, int]], special: list[float]) -> None:
    x, y = np.array(words, np.uint32).T.copy().view(np.float32)
    pairs = np.meshgrid(np.array(special, np.float32), np.array([*special, -2.0, 7.5], np.float32))
    x, y = (np.concatenate([part, more.reshape(-1)]) for part, more in zip((x, y), pairs, strict=True))
    order = [1, 1, 1, 1, 1, x.size, 0, 0, 0, 0, 0, 1]  # sizes and strides
    axes = np.array([order, order], np.int32)
    found = np.empty_like(x)
    library().rc_broadcast_pow(*(ctypes.c_void_p(array.ctypes.data) for array in (axes, x, y, found)))
    assert_same_bits(found, pow32(x, y), "pow")


class _Weights(ctypes.Structure):
    _fields_ = (("values", ctypes.c_void_p),)


class _Gather(ctypes.Structure):
    _fields_ = (
        *(("weights", ctypes.c_void_p), ("rows", ctypes.c_uint32)),
        *(("columns", ctypes.c_uint32), ("n", ctypes.c_uint32)),
    )


def test_indices_beyond_a_table_give_zeros() -> None:
    values = np.arange(1, 7, dtype=np.float32)  # 2 rows of 3 vectors
    x = np.array([2, -1, 3, np.nan, np.inf, 4e9, 5e9, -0.0], np.float32)
    y = np.full((x.size, 2), np.nan, np.float32)
    weights = _Weights(values.ctypes.data)
    gather = _Gather(ctypes.addressof(weights), 2, 3, x.size)
    library().rc_gather_dense_float32(
        ctypes.byref(gather), ctypes.c_void_p(x.ctypes.data), ctypes.c_void_p(y.ctypes.data)
    )
    expected = np.zeros_like(y)
    expected[0], expected[-1] = [3, 6], [1, 4]
    np.testing.assert_array_equal(y, expected)
