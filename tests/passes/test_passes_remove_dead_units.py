"""Dead units: what is cut, what constants become, and what must stay."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from checks.weights import sparse_encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import ArrayLike, NDArray

from refcompress import recipe
from refcompress.compress import compress
from refcompress.encodings import Bits, Codebook, Dense, Encoding, Linear, decode, encode
from refcompress.errors import ModelError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import find_op, infer_shapes
from refcompress.passes import prune, quantize, remove_dead_units, share_weights
from refcompress.passes.constant_channels import constant_channels
from refcompress.run import run, run_exact
from reference_models import lenet_5
from reference_models.layers import parameter_count

RNG = np.random.default_rng(0)
NONE = (0, 0, 0, 0)
ONE = (1, 1, 1, 1)


class Net:
    """A network that grows by one node at a time; an output has the name of its node."""

    def __init__(self, **inputs: tuple[int, ...]) -> None:
        self.inputs = tuple(TensorSpec(name, shape) for name, shape in inputs.items())
        self.nodes: list[Node] = []
        self.params: dict[str, Encoding] = {}

    def add(
        self, op: str, name: str, *sources: str, params: dict[str, ArrayLike | str] | None = None, **attrs: Any
    ) -> str:
        """Add a node; a parameter is an array, an encoding, or the name of one that is there."""
        roles = {}
        for role, value in (params or {}).items():
            roles[role] = value if isinstance(value, str) else f"{name}/{role}"
            if not isinstance(value, str):
                self.params[roles[role]] = value if hasattr(value, "values") else encode(value)
        self.nodes.append(Node(op, name, sources, name, roles, find_op(op).attrs(**attrs)))
        return name

    def gemm(self, name: str, source: str, weight: ArrayLike | str, bias: ArrayLike | str | None = None) -> str:
        """Add a Gemm."""
        return self.add("Gemm", name, source, params=_roles(weight, bias))

    def conv(
        self, name: str, source: str, weight: ArrayLike | str, bias: ArrayLike | str | None = None, **attrs: Any
    ) -> str:
        """Add a Conv."""
        return self.add("Conv", name, source, params=_roles(weight, bias), **attrs)

    def graph(self, *outputs: str) -> Graph:
        """Return the network as it is by now; by default the last node makes its output."""
        return Graph(self.inputs, outputs or (self.nodes[-1].output,), tuple(self.nodes), self.params)


def _roles(weight: ArrayLike | str, bias: ArrayLike | str | None) -> dict[str, ArrayLike | str]:
    return {"weight": weight} if bias is None else {"weight": weight, "bias": bias}


def kernel(*shape: int, dead: Sequence[int] = (), unread: Sequence[int] = ()) -> NDArray[np.float32]:
    """Make a weight without zeros, but for some units that read nothing and some inputs that are not read."""
    weight = (RNG.normal(size=shape) + np.where(RNG.random(shape) < 0.5, -1, 1)).astype(np.float32)
    weight[..., list(dead)] = 0
    if unread:
        weight[..., list(unread), :] = 0
    return weight


def arrays(graph: Graph) -> dict[str, Any]:
    return {name: decode(encoding).tolist() for name, encoding in graph.params.items()}


def shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    return {name: encoding.shape for name, encoding in graph.params.items()}


def samples(graph: Graph, count: int = 3) -> list[NDArray[np.float64]]:
    return [RNG.normal(size=(count, *spec.shape)) for spec in graph.inputs]


def checked(before: Graph) -> Graph:
    """Run the pass; compare outputs in float64 (biases were rounded), and bit for bit where no bias changed."""
    after = remove_dead_units(before)
    assert remove_dead_units(after) is after
    assert after.inputs == before.inputs
    assert after.outputs == before.outputs
    inputs = samples(before)
    for wanted, found in zip(run(before, inputs, dtype=np.float64), run(after, inputs, dtype=np.float64), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6 * max(1.0, float(np.abs(wanted).max())))
    if not bias_changed(before, after):
        for wanted, found in zip(run_exact(before, inputs), run_exact(after, inputs), strict=True):
            np.testing.assert_array_equal(found, wanted)
    return after


def bias_changed(before: Graph, after: Graph) -> bool:
    """Whether a bias is new or holds a value that it did not hold."""
    biases = {node.params["bias"] for node in after.nodes if "bias" in node.params}
    if not biases <= before.params.keys():
        return True
    return any(not np.isin(decode(after.params[name]), decode(before.params[name])).all() for name in biases)


def assert_nothing_to_cut(graph: Graph) -> None:
    assert remove_dead_units(graph) is graph


# chains of dense layers


def test_constants_cascade_forwards_into_the_last_bias() -> None:
    net = Net(x=(2,))
    net.gemm("a", "x", [[1, 0, 2], [3, 0, 4]], [0.5, 2, -1])
    net.add("Relu", "ra", "a")
    net.gemm("b", "ra", [[1, 0], [10, 3], [1, 0]], [1, -1])  # unit 1 reads the constant 2 only: 2 * 3 - 1 = 5
    net.add("Relu", "rb", "b")
    net.gemm("y", "rb", [[2], [7]], [0.25])
    after = checked(net.graph())
    assert arrays(after) == {
        "a/weight": [[1, 2], [3, 4]],
        "a/bias": [0.5, -1],
        "b/weight": [[1], [1]],
        "b/bias": [21],
        "y/weight": [[2]],
        "y/bias": [35.25],
    }


def test_units_that_nobody_reads_cascade_backwards_and_change_no_number() -> None:
    net = Net(x=(2,))
    net.gemm("a", "x", [[1, 2, 3], [4, 5, 6]], [7, 8, 9])
    net.add("Relu", "ra", "a")
    net.gemm("b", "ra", [[1, 2], [0, 3], [4, 5]], [1, 2])  # only unit 1 reads a's unit 1
    net.add("Tanh", "tb", "b")
    net.gemm("y", "tb", [[6, 7], [0, 0]])
    before = net.graph()
    after = checked(before)
    assert arrays(after) == {
        "a/weight": [[1, 3], [4, 6]],
        "a/bias": [7, 9],
        "b/weight": [[1], [4]],
        "b/bias": [1],
        "y/weight": [[6, 7]],
    }
    assert not bias_changed(before, after)


def test_a_network_without_dead_units_is_returned_as_it_is() -> None:
    net = Net(x=(3,))
    net.gemm("a", "x", kernel(3, 4), kernel(4))
    net.add("Relu", "r", "a")
    net.gemm("y", "r", kernel(4, 2))
    assert_nothing_to_cut(net.graph())
    assert_nothing_to_cut(Net(x=(3,)).graph("x"))
    assert_nothing_to_cut(Graph((), (), (), {"unused": encode([0.0])}))


def test_inputs_and_outputs_of_the_network_are_never_cut() -> None:
    net = Net(x=(3,))
    net.gemm("y", "x", kernel(3, 4, dead=[1], unread=[2]), kernel(4))
    assert_nothing_to_cut(net.graph())


def test_an_activation_that_is_returned_is_not_cut() -> None:
    net = Net(x=(3,))
    net.gemm("h", "x", kernel(3, 4, dead=[1]), kernel(4))
    net.gemm("y", "h", kernel(4, 2, unread=[2]))
    assert_nothing_to_cut(net.graph("y", "h"))
    assert shapes(checked(net.graph("y")))["h/weight"] == (3, 2)


@pytest.mark.parametrize("op", ["Sigmoid", "Tanh", "Relu", "Clip", "Dropout"])
def test_a_constant_goes_through_elementwise_operators(op: str) -> None:
    attrs = {"Clip": {"min": 0.25, "max": 6.0}, "Dropout": {"ratio": 0.5}}.get(op, {})
    bias = {"Sigmoid": 0.0, "Tanh": 0.75}.get(op, -1.0)
    value = {"Sigmoid": 0.5, "Tanh": np.tanh(0.75), "Relu": 0.0, "Clip": 0.25, "Dropout": -1.0}[op]
    net = Net(x=(2,))
    net.gemm("a", "x", kernel(2, 3, dead=[1]), [1, bias, 2])
    net.add(op, "act", "a", **attrs)
    weight = kernel(3, 2)
    net.gemm("y", "act", weight, [10, 20])
    after = checked(net.graph())
    assert shapes(after)["a/weight"] == (2, 2)
    wanted = np.array([10, 20]) + value * weight[1].astype(np.float64)
    assert decode(after.params["y/bias"]).tolist() == wanted.astype(np.float32).tolist()


def test_a_bias_that_a_layer_did_not_have_gets_a_name_of_its_own() -> None:
    net = Net(x=(2,))
    net.gemm("a", "x", kernel(2, 2, dead=[1]), [0, 2])
    net.gemm("y", "a", [[1, 2], [3, 4]], None)
    net.params["y/bias"] = encode([9.0])  # taken, though by nobody
    after = checked(net.graph())
    assert after.nodes[1].params == {"weight": "y/weight", "bias": "y/bias_1"}
    assert arrays(after)["y/bias_1"] == [6, 8]
    assert arrays(after)["y/bias"] == [9]


def test_of_a_layer_that_is_all_dead_one_idle_unit_stays() -> None:
    net = Net(x=(3,))
    net.gemm("a", "x", kernel(3, 4), kernel(4))
    net.add("Relu", "ra", "a")
    net.gemm("b", "ra", np.zeros((4, 5)), [1, 2, 3, 4, -5])
    net.add("Relu", "rb", "b")
    net.gemm("y", "rb", np.ones((5, 2)), [0.5, 0.25])
    after = checked(net.graph())
    assert shapes(after) == {
        "a/weight": (3, 1),
        "a/bias": (1,),
        "b/weight": (1, 1),
        "b/bias": (1,),
        "y/weight": (1, 2),
        "y/bias": (2,),
    }
    for name in ("a/weight", "b/weight", "y/weight"):
        assert not decode(after.params[name]).any()
    assert arrays(after)["y/bias"] == [10.5, 10.25]


def test_layers_before_one_that_is_all_dead_die_too() -> None:
    net = Net(x=(3,))
    for name, source in itertools.pairwise(["x", "a", "b", "c", "d"]):
        net.gemm(source, name, kernel(3, 3, dead=range(3) if source == "d" else ()))
    net.gemm("y", "d", kernel(3, 3))
    after = checked(net.graph())
    assert [shapes(after)[f"{name}/weight"] for name in "abcdy"] == [(3, 1), (1, 1), (1, 1), (1, 1), (1, 3)]


def test_nodes_on_which_no_output_depends_go_with_their_parameters() -> None:
    net = Net(x=(3,), unused=(2,))
    net.gemm("y", "x", kernel(3, 2))
    net.gemm("idle", "x", kernel(3, 2))
    net.add("Add", "sum", "idle", "unused")
    net.params["kept"] = encode([1.0])  # no node ever used it
    before = net.graph("y")
    after = checked(before)
    assert [node.name for node in after.nodes] == ["y"]
    assert set(after.params) == {"y/weight", "kept"}
    assert after.params["y/weight"] is before.params["y/weight"]


def test_an_activation_with_two_readers_is_cut_when_neither_needs_it() -> None:
    def graph(unread_by_b: Sequence[int], dead: Sequence[int] = ()) -> Graph:
        net = Net(x=(3,))
        net.gemm("a", "x", kernel(3, 4, dead=dead), kernel(4))
        net.gemm("b", "a", kernel(4, 2, unread=unread_by_b), kernel(2))
        net.gemm("c", "a", kernel(4, 2, unread=[0, 1]))
        return net.graph("b", "c")

    assert shapes(checked(graph([1, 2])))["a/weight"] == (3, 3)
    assert_nothing_to_cut(graph([2, 3]))
    folded = checked(graph([], dead=[3]))  # into both
    assert shapes(folded)["a/weight"] == (3, 3)
    assert set(folded.params) == {"a/weight", "a/bias", "b/weight", "b/bias", "c/weight", "c/bias"}


def test_a_shared_weight_is_cut_where_both_uses_agree() -> None:
    def graph(unread_by_c: Sequence[int]) -> Graph:
        net = Net(x=(3,), z=(3,))
        net.params["w"] = encode(kernel(3, 4))
        net.gemm("a", "x", "w")
        net.gemm("b", "z", "w")
        net.gemm("c", "a", kernel(4, 2, unread=unread_by_c))
        net.gemm("d", "b", kernel(4, 2, unread=[1, 2]))
        return net.graph("c", "d")

    after = checked(graph([1, 3]))
    assert shapes(after) == {"w": (3, 3), "c/weight": (3, 2), "d/weight": (3, 2)}
    assert_nothing_to_cut(graph([0, 3]))


def test_a_shared_bias_is_copied_for_the_node_that_a_constant_goes_into() -> None:
    net = Net(x=(2,))
    net.params["bias"] = encode([1.0, 2.0])
    net.gemm("a", "x", kernel(2, 2, dead=[0]), [3, 0])
    net.gemm("b", "a", [[1, 2], [3, 4]], "bias")
    net.gemm("c", "x", kernel(2, 2), "bias")
    before = net.graph("b", "c")
    after = checked(before)
    assert [node.params.get("bias") for node in after.nodes] == ["a/bias", "b/bias", "bias"]
    assert after.params["bias"] is before.params["bias"]
    assert arrays(after)["b/bias"] == [4, 8]


def test_a_weight_that_reads_what_it_makes_is_cut_on_both_sides() -> None:
    net = Net(x=(3,))
    net.params["w"] = encode([[1, 0, 2], [3, 0, 4], [5, 0, 6]])
    net.gemm("first", "x", kernel(3, 3, dead=[1]))
    net.gemm("a", "first", "w")
    net.gemm("b", "a", "w")
    net.gemm("y", "b", kernel(3, 2))
    after = checked(net.graph())
    assert arrays(after)["w"] == [[1, 2], [5, 6]]
    assert shapes(after)["first/weight"] == (3, 2)


def test_a_constant_that_nobody_reads_changes_no_bias() -> None:
    net = Net(x=(2,))
    net.gemm("a", "x", kernel(2, 3, dead=[1]), [1, 2, 3])
    net.gemm("b", "a", kernel(3, 2, unread=[1]), kernel(2))
    net.gemm("y", "b", kernel(2, 2))
    before = net.graph()
    after = checked(before)
    assert shapes(after)["a/weight"] == (2, 2)
    assert after.params["b/bias"] is before.params["b/bias"]


# convolutions


def conv_to_gemm(unread: Sequence[int]) -> Graph:
    net = Net(x=(5, 5, 2))
    net.conv("a", "x", kernel(2, 2, 2, 3), kernel(3))
    net.add("MaxPool", "pool", "a", kernel_shape=(2, 2), strides=(2, 2))
    net.add("Flatten", "flat", "pool")
    weight = kernel(12, 4)
    weight[list(unread)] = 0
    net.gemm("y", "flat", weight)
    return net.graph()


def test_a_channel_goes_with_all_its_positions_behind_a_flatten() -> None:
    before = conv_to_gemm(unread=[1, 4, 7, 10])
    after = checked(before)
    assert shapes(after) == {"a/weight": (2, 2, 2, 2), "a/bias": (2,), "y/weight": (8, 4)}
    left = [0, 2, 3, 5, 6, 8, 9, 11]
    np.testing.assert_array_equal(decode(after.params["y/weight"]), decode(before.params["y/weight"])[left])
    np.testing.assert_array_equal(decode(after.params["a/weight"]), decode(before.params["a/weight"])[..., [0, 2]])


def test_a_channel_of_which_one_position_is_read_stays() -> None:
    assert_nothing_to_cut(conv_to_gemm(unread=[1, 4, 7]))


def conv_conv(pads: tuple[int, int, int, int], bias: float, *, relu: bool = False) -> Graph:
    net = Net(x=(5, 5, 2))
    net.conv("a", "x", kernel(3, 3, 2, 3, dead=[1]), [1, bias, 2], pads=ONE)
    source = net.add("Relu", "relu", "a") if relu else "a"
    net.conv("y", source, kernel(3, 2, 3, 4), kernel(4), pads=pads, strides=(2, 1))
    return net.graph()


def test_a_constant_goes_through_a_convolution_without_padding() -> None:
    before = conv_conv(NONE, 3.0)
    after = checked(before)
    assert shapes(after) == {"a/weight": (3, 3, 2, 2), "a/bias": (2,), "y/weight": (3, 2, 2, 4), "y/bias": (4,)}
    taps = decode(before.params["y/weight"])[:, :, 1].astype(np.float64).sum((0, 1))
    wanted = (decode(before.params["y/bias"]) + 3 * taps).astype(np.float32)
    np.testing.assert_allclose(decode(after.params["y/bias"]), wanted, rtol=2e-7)


def test_a_constant_stays_where_padding_would_show() -> None:
    assert_nothing_to_cut(conv_conv(ONE, 3.0))
    assert_nothing_to_cut(conv_conv((0, 0, 0, 1), 3.0))


@pytest.mark.parametrize(("bias", "relu"), [(0.0, False), (-3.0, True)])
def test_a_channel_of_zeros_goes_in_spite_of_padding_and_no_number_changes(bias: float, relu: bool) -> None:
    before = conv_conv(ONE, bias, relu=relu)
    after = checked(before)
    assert shapes(after)["y/weight"] == (3, 2, 2, 4)
    assert after.params["y/bias"] is before.params["y/bias"]


def test_only_constants_that_go_are_folded() -> None:
    net = Net(x=(4, 4, 2))
    net.conv("a", "x", kernel(1, 1, 2, 3, dead=[0, 1]), [2, 5, 0])
    net.conv("padded", "a", kernel(3, 3, 3, 1, unread=[1]), pads=ONE)  # keeps channel 0
    net.conv("y", "a", [[[[10.0], [100.0], [1.0]]]])
    after = checked(net.graph("padded", "y"))
    assert shapes(after)["a/weight"] == (1, 1, 2, 2)
    assert arrays(after)["y/bias"] == [500]


def test_an_output_of_a_padded_convolution_that_reads_a_constant_is_none() -> None:
    def graph(pads: tuple[int, int, int, int]) -> Graph:
        net = Net(x=(4, 4, 2))
        net.conv("a", "x", kernel(1, 1, 2, 2, dead=[0]), [3, 0])
        weight = kernel(3, 3, 2, 2)
        weight[:, :, 1, 0] = 0  # channel 0 reads the constant only
        net.conv("b", "a", weight, pads=pads)
        net.conv("y", "b", kernel(1, 1, 2, 2))
        return net.graph()

    assert_nothing_to_cut(graph(ONE))
    assert shapes(checked(graph(NONE)))["b/weight"] == (3, 3, 1, 1)


@pytest.mark.parametrize(
    ("op", "attrs", "spoils"),
    [
        ("Pad", {"pads": (1, 0, 0, 0)}, True),
        ("Pad", {"pads": NONE}, False),
        ("AveragePool", {"kernel_shape": (2, 2), "strides": (1, 1), "pads": ONE, "count_include_pad": True}, True),
        ("AveragePool", {"kernel_shape": (2, 2), "strides": (1, 1), "pads": ONE}, False),
        ("AveragePool", {"kernel_shape": (3, 3), "strides": (2, 2), "count_include_pad": True}, False),
        ("MaxPool", {"kernel_shape": (2, 2), "strides": (1, 1), "pads": ONE}, False),
        ("GlobalAveragePool", {"keepdims": True}, False),
        ("GlobalMaxPool", {"keepdims": True}, False),
        ("GlobalMaxPool", {}, False),
        ("GlobalAveragePool", {}, False),
    ],
)
def test_pools_keep_a_constant_unless_padding_counts(op: str, attrs: dict[str, Any], spoils: bool) -> None:
    def graph(bias: float) -> Graph:
        net = Net(x=(5, 5, 2))
        net.conv("a", "x", kernel(1, 1, 2, 3, dead=[2]), [1, 2, bias])
        net.add(op, "pool", "a", **attrs)
        net.gemm("y", "pool", kernel(3, 2))
        return net.graph()

    assert shapes(checked(graph(0.0)))["a/weight"] == (1, 1, 2, 2)
    if spoils:
        assert_nothing_to_cut(graph(-1.5))
    else:
        assert shapes(checked(graph(-1.5)))["a/weight"] == (1, 1, 2, 2)


def norm(scale: Sequence[float]) -> dict[str, ArrayLike]:
    size = len(scale)
    return {"scale": scale, "bias": kernel(size), "mean": kernel(size), "var": RNG.random(size) + 0.5}


def test_batch_normalization_is_cut_with_its_channels() -> None:
    net = Net(x=(4, 4, 2))
    net.conv("a", "x", kernel(3, 3, 2, 4, dead=[1]), kernel(4))
    net.add("BatchNormalization", "bn", "a", params=norm([1, 2, 3, 4]))
    net.add("Relu", "relu", "bn")
    net.add("GlobalAveragePool", "pool", "relu")
    net.gemm("y", "pool", kernel(4, 3, unread=[3]), kernel(3))
    before = net.graph()
    after = checked(before)
    assert shapes(after)["a/weight"] == (3, 3, 2, 2)
    for role in ("scale", "bias", "mean", "var"):
        wanted = decode(before.params[f"bn/{role}"])[[0, 2]]
        np.testing.assert_array_equal(decode(after.params[f"bn/{role}"]), wanted)


def test_a_normalization_with_scale_zero_makes_a_constant() -> None:
    net = Net(x=(4, 4, 2))
    net.conv("a", "x", kernel(3, 3, 2, 3))
    net.add("BatchNormalization", "bn", "a", params=norm([1, 0, 3]))
    net.conv("y", "bn", kernel(1, 1, 3, 2))
    before = net.graph()
    after = checked(before)
    assert shapes(after)["a/weight"] == (3, 3, 2, 2)
    shift = float(decode(before.params["bn/bias"])[1])
    wanted = shift * decode(before.params["y/weight"])[0, 0, 1].astype(np.float64)
    assert decode(after.params["y/bias"]).tolist() == wanted.astype(np.float32).tolist()


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_channels_are_cut_with_their_input(multiplier: int) -> None:
    def graph(unread: Sequence[int], dead: Sequence[int] = ()) -> Graph:
        net = Net(x=(4, 4, 2))
        net.conv("a", "x", kernel(1, 1, 2, 4, dead=dead), kernel(4))
        net.conv("dw", "a", kernel(3, 3, 1, 4 * multiplier), kernel(4 * multiplier), group=4)
        net.add("Relu", "relu", "dw")
        net.conv("y", "relu", kernel(1, 1, 4 * multiplier, 3, unread=unread))
        return net.graph()

    before = graph(unread=range(2 * multiplier, 3 * multiplier))
    after = checked(before)
    assert after.nodes[1].attrs.group == 3
    assert type(after.nodes[1].attrs.group) is int
    left = [c for c in range(4 * multiplier) if c // multiplier != 2]
    np.testing.assert_array_equal(decode(after.params["dw/weight"]), decode(before.params["dw/weight"])[..., left])
    assert shapes(after)["a/weight"] == (1, 1, 2, 3)
    folded = checked(graph(unread=[], dead=[0, 3]))
    assert shapes(folded)["y/weight"] == (1, 1, 2 * multiplier, 3)
    assert folded.nodes[1].attrs.group == 2
    if multiplier == 2:
        assert_nothing_to_cut(graph(unread=[1, 2]))  # the other output of each needs the input


def test_a_depthwise_channel_without_weights_is_a_constant() -> None:
    net = Net(x=(4, 4, 3))
    net.conv("a", "x", kernel(1, 1, 3, 3))
    net.conv("dw", "a", kernel(3, 3, 1, 3, dead=[1]), [1, 2, 3], group=3, pads=ONE)
    net.conv("y", "dw", kernel(1, 1, 3, 2))
    after = checked(net.graph())
    assert shapes(after)["a/weight"] == (1, 1, 3, 2)
    assert shapes(after)["y/bias"] == (2,)


def test_the_last_channel_of_a_depthwise_convolution_ties_its_outputs_no_longer() -> None:
    net = Net(x=(4, 4, 3))
    net.conv("a", "x", kernel(1, 1, 3, 2))
    net.conv("dw", "a", kernel(2, 2, 1, 4), group=2)
    net.conv("y", "dw", kernel(1, 1, 4, 2, unread=[0, 1, 3]))
    after = checked(net.graph())
    assert shapes(after) == {"a/weight": (1, 1, 3, 1), "dw/weight": (2, 2, 1, 1), "y/weight": (1, 1, 1, 2)}


def test_convolutions_of_groups_are_left_alone() -> None:
    net = Net(x=(4, 4, 2))
    net.conv("a", "x", kernel(1, 1, 2, 4, dead=[0]), kernel(4))
    net.conv("grouped", "a", kernel(1, 1, 2, 4, dead=[1]), group=2)
    net.conv("y", "grouped", kernel(1, 1, 4, 2, unread=[1, 2]))
    assert_nothing_to_cut(net.graph())


def test_a_constant_behind_a_convolution_of_groups_is_found() -> None:
    net = Net(x=(4, 4, 4))
    weight = kernel(1, 1, 2, 4)
    weight[:, :, :, 3] = 0
    net.conv("grouped", "x", weight, [1, 2, 3, 4], group=2)
    only = kernel(1, 1, 4, 2)
    only[:, :, :3, 1] = 0
    net.conv("b", "grouped", only)
    net.conv("y", "b", [[[[2.0], [3.0]]]])
    after = checked(net.graph())
    assert shapes(after)["b/weight"] == (1, 1, 4, 1)
    np.testing.assert_allclose(arrays(after)["y/bias"], [3 * 4 * float(only[0, 0, 3, 1])], rtol=1e-7)


# branches


def residual(
    dead_in_trunk: Sequence[int], dead_in_branch: Sequence[int], unread: Sequence[int] = (), *, inner: int = 3
) -> Graph:
    net = Net(x=(5, 5, 2))
    net.conv("trunk", "x", kernel(3, 3, 2, 4, dead=dead_in_trunk))
    net.conv("first", "trunk", kernel(3, 3, 4, inner, unread=unread), kernel(inner), pads=ONE)
    net.add("Relu", "relu", "first")
    net.conv("second", "relu", kernel(3, 3, inner, 4, dead=dead_in_branch, unread=[1]), [1, 2, 3, 4], pads=ONE)
    net.add("Add", "sum", "trunk", "second")
    net.add("Relu", "out", "sum")
    net.add("GlobalAveragePool", "pool", "out")
    net.gemm("y", "pool", kernel(4, 3, unread=unread))
    return net.graph()


def test_a_residual_channel_goes_when_both_sides_are_constant() -> None:
    after = checked(residual([0, 2], [1, 2]))
    assert shapes(after) == {
        "trunk/weight": (3, 3, 2, 3),
        "first/weight": (3, 3, 3, 2),  # its unit 1 is read by nobody
        "first/bias": (2,),
        "second/weight": (3, 3, 2, 3),
        "second/bias": (3,),
        "y/weight": (3, 3),
        "y/bias": (3,),
    }


def test_a_residual_channel_goes_when_nobody_reads_it() -> None:
    assert shapes(checked(residual([], [], unread=[3])))["trunk/weight"] == (3, 3, 2, 3)


def test_a_vector_added_at_every_position_loses_the_channels_of_the_image() -> None:
    net = Net(x=(5, 5, 2), z=(3,))
    net.conv("image", "x", kernel(3, 3, 2, 4, dead=[0]))
    net.gemm("vector", "z", kernel(3, 4, dead=[0]))
    net.add("Add", "sum", "image", "vector")
    net.conv("y", "sum", kernel(1, 1, 4, 2, unread=[3]))
    after = checked(net.graph())
    assert shapes(after)["image/weight"] == (3, 3, 2, 2)
    assert shapes(after)["vector/weight"] == (3, 2)


def test_a_channel_that_is_added_to_all_others_ties_nothing_and_stays_with_them() -> None:
    net = Net(x=(5, 5, 2))
    net.conv("one", "x", kernel(3, 3, 2, 1), ONE[:1])
    net.conv("many", "x", kernel(3, 3, 2, 4, dead=[0]))
    net.add("Add", "sum", "one", "many")
    net.conv("y", "sum", kernel(1, 1, 4, 2, unread=[3]))
    after = checked(net.graph())
    assert shapes(after)["one/weight"] == (3, 3, 2, 1)
    assert shapes(after)["many/weight"] == (3, 3, 2, 4)


def test_a_constant_beside_a_living_summand_stays() -> None:
    after = checked(residual([0], [1]))
    assert shapes(after)["trunk/weight"] == (3, 3, 2, 4)
    assert shapes(after)["second/weight"] == (3, 3, 2, 4)


def test_a_channel_that_must_stay_for_others_keeps_nothing_alive_where_nobody_needs_it() -> None:
    net = Net(x=(2,))
    net.gemm("trunk", "x", kernel(2, 3))
    net.gemm("inner", "trunk", kernel(3, 4))
    weight = kernel(4, 3)
    weight[:2, 1:] = 0  # inner's units 0 and 1 are read for channel 0 alone
    net.gemm("branch", "inner", weight)
    net.add("Add", "sum", "trunk", "branch")
    net.gemm("early", "trunk", kernel(3, 1))
    net.gemm("y", "sum", kernel(3, 2, unread=[0]))
    after = checked(net.graph("early", "y"))
    assert shapes(after)["trunk/weight"] == (2, 3)
    assert shapes(after)["inner/weight"] == (3, 2)
    assert shapes(after)["branch/weight"] == (2, 3)


def test_a_constant_that_stays_for_others_keeps_its_value() -> None:
    net = Net(x=(2,))
    net.gemm("trunk", "x", kernel(2, 3))
    net.gemm("inner", "x", kernel(2, 3, dead=[0]), [5, 1, 1])
    weight = kernel(3, 3)
    weight[1:, 0] = 0  # channel 0 is 5 times a weight
    net.gemm("branch", "inner", weight)
    net.add("Add", "sum", "trunk", "branch")
    net.gemm("early", "trunk", kernel(3, 1))  # keeps channel 0 of all three
    net.gemm("reader", "branch", kernel(3, 1))
    net.gemm("y", "sum", kernel(3, 2, unread=[0]))
    after = checked(net.graph("early", "reader", "y"))
    assert shapes(after)["inner/weight"] == (2, 2)
    assert shapes(after)["branch/weight"] == (2, 3)
    assert set(after.params) - set(net.params) == {"branch/bias"}


def test_a_channel_that_only_feeds_itself_is_read_by_nobody() -> None:
    net = Net(x=(2,))
    net.gemm("trunk", "x", kernel(2, 3))
    loop = kernel(3, 3)
    loop[2, :2] = 0  # channel 2 is read for channel 2 alone
    net.gemm("branch", "trunk", loop)
    net.add("Add", "sum", "trunk", "branch", "trunk")
    net.gemm("y", "sum", kernel(3, 2, unread=[2]))
    after = checked(net.graph())
    assert shapes(after) == {"trunk/weight": (2, 2), "branch/weight": (2, 2), "y/weight": (2, 2)}


def test_concatenated_channels_are_cut_each_in_its_branch() -> None:
    net = Net(x=(4, 4, 2))
    net.conv("a", "x", kernel(1, 1, 2, 3), kernel(3))
    net.conv("b", "x", kernel(3, 3, 2, 2, dead=[0]), [7, 0], pads=ONE)
    net.add("Concat", "all", "a", "b", "x", axis=3)
    net.add("Relu", "relu", "all")
    net.conv("y", "relu", kernel(1, 1, 7, 2, unread=[1, 5]))
    after = checked(net.graph())
    assert shapes(after) == {
        "a/weight": (1, 1, 2, 2),
        "a/bias": (2,),
        "b/weight": (3, 3, 2, 1),
        "b/bias": (1,),
        "y/weight": (1, 1, 5, 2),  # 2 + 1 + both of the input
        "y/bias": (2,),
    }


def test_a_branch_that_is_all_dead_keeps_one_idle_channel() -> None:
    net = Net(x=(4, 4, 2))
    net.conv("a", "x", kernel(1, 1, 2, 3))
    net.conv("b", "x", kernel(1, 1, 2, 3))
    net.add("Concat", "all", "a", "b", axis=3)
    net.conv("y", "all", kernel(1, 1, 6, 2, unread=[3, 4, 5]))
    after = checked(net.graph())
    assert shapes(after)["b/weight"] == (1, 1, 2, 1)
    assert not decode(after.params["b/weight"]).any()
    assert shapes(after)["y/weight"] == (1, 1, 4, 2)


def test_concatenation_of_lines_ties_the_channels_together() -> None:
    def graph(dead_in_b: int, bias: float) -> Graph:
        net = Net(x=(4, 4, 2))
        net.conv("a", "x", kernel(1, 1, 2, 3, dead=[1]), [0, 5, 0])
        net.conv("b", "x", kernel(1, 1, 2, 3, dead=[dead_in_b]), np.full(3, bias))
        net.add("Concat", "all", "a", "b", axis=1)
        net.conv("y", "all", kernel(1, 1, 3, 2))
        return net.graph()

    assert shapes(checked(graph(1, 5.0)))["b/weight"] == (1, 1, 2, 2)
    assert_nothing_to_cut(graph(1, 4.0))  # constant in the upper half and in the lower half, but not the same
    assert_nothing_to_cut(graph(0, 5.0))


# shapes


def test_a_reshape_gets_its_new_shape() -> None:
    net = Net(x=(2, 6))
    net.gemm("a", "x", kernel(6, 4, dead=[1]))  # (2, 4) -> (8,) -> (2, 1, 4)
    net.add("Reshape", "flat", "a", shape=(8,))
    net.add("Relu", "relu", "flat")
    net.add("Reshape", "plane", "relu", shape=(2, 1, 4))
    net.conv("y", "plane", kernel(2, 1, 4, 3))
    after = checked(net.graph())
    assert infer_shapes(after)["flat"] == (6,)
    assert after.nodes[3].attrs.shape == (2, 1, 3)
    assert all(type(size) is int for size in after.nodes[3].attrs.shape)


def test_a_reshape_that_mixes_channels_cuts_what_goes_together() -> None:
    # element e is in channel e % 4 and then in channel e % 6: even with even, odd with odd
    def graph(dead: Sequence[int]) -> Graph:
        net = Net(x=(3, 2))
        net.gemm("a", "x", kernel(2, 4, dead=dead))
        net.add("Reshape", "mixed", "a", shape=(2, 6))
        net.gemm("y", "mixed", kernel(6, 2))
        return net.graph()

    assert_nothing_to_cut(graph([1]))
    after = checked(graph([1, 3]))
    assert infer_shapes(after)["mixed"] == (2, 3)
    assert shapes(after) == {"a/weight": (2, 2), "y/weight": (3, 2)}


def test_a_reshape_of_different_constants_makes_none() -> None:
    net = Net(x=(2,))
    net.gemm("a", "x", kernel(2, 4, dead=[0, 2]), [1, 0, 2, 0])
    net.add("Reshape", "pairs", "a", shape=(2, 2))
    net.gemm("y", "pairs", kernel(2, 2))
    assert_nothing_to_cut(net.graph())
    net.params["a/bias"] = encode([2.0, 0, 2, 0])
    assert shapes(checked(net.graph()))["a/weight"] == (2, 2)


def test_activations_without_axes_and_softmax_are_left_alone() -> None:
    net = Net(x=(2,))
    net.gemm("a", "x", kernel(2, 1, dead=[0]), [3])
    net.add("Reshape", "scalar", "a", shape=())
    net.add("Flatten", "flat", "scalar")
    net.gemm("h", "flat", kernel(1, 3, dead=[1]), kernel(3))
    net.add("Softmax", "soft", "h")
    net.gemm("y", "soft", kernel(3, 2, unread=[1]))
    assert_nothing_to_cut(net.graph())


# encodings


def encoded(kind: str, array: NDArray[np.float32]) -> Encoding:
    if kind == "sparse":
        return sparse_encoding(array)
    values, labels = np.unique(np.moveaxis(array, -1, 0), return_inverse=True)
    assert kind == "codebook"
    return Dense(array.shape, Codebook(values, Bits(labels.reshape(-1).astype(np.uint16), 4)))


def linear(array: NDArray[np.float32], *, per_row: bool) -> Dense:
    """Encode whole numbers -7 to 8; rows have scales 1, 1/2, 1/3, ..."""
    rows = array.shape[-1] if per_row else 1
    integers = (np.moveaxis(array, -1, 0).reshape(-1) + 7).astype(np.uint16)
    scales = (1 / np.arange(1, rows + 1)).astype(np.float32)
    return Dense(array.shape, Linear(Bits(integers, 4), 4, scales, np.full(rows, 7, np.uint16)))


WHOLE = np.array([[[[1, 0, 3, -2], [5, 0, 7, 1]]], [[[2, 0, -6, 4], [0, 0, 8, 0]]]], np.float32)  # (2, 1, 2, 4)


def around(weight: Encoding) -> Graph:
    """Make a network in which input 0 of the weight is zero, its unit 1 zero and its unit 3 not read."""
    net = Net(x=(3, 3, 2))
    net.conv("a", "x", kernel(1, 1, 2, 2, dead=[0]))
    net.conv("b", "a", weight)
    net.conv("y", "b", kernel(1, 1, 4, 2, unread=[3]))
    return net.graph()


def test_shared_weights_stay_shared_with_the_centroids_in_use() -> None:
    after = checked(around(encoded("codebook", WHOLE)))
    values = after.params["b/weight"].values
    assert isinstance(values, Codebook)
    assert values.centroids.tolist() == [0, 5, 7, 8]
    assert decode(after.params["b/weight"]).tolist() == [[[[5, 7]]], [[[0, 8]]]]


@pytest.mark.parametrize("per_row", [False, True])
def test_integers_stay_integers_with_their_scales(per_row: bool) -> None:
    after = checked(around(linear(WHOLE, per_row=per_row)))
    values = after.params["b/weight"].values
    assert isinstance(values, Linear)
    assert values.integers.symbols.tolist() == [12, 7, 14, 15]
    assert values.scales.tolist() == ([1, np.float32(1 / 3)] if per_row else [1])


def test_sparse_rows_are_read() -> None:
    after = checked(around(sparse_encoding(WHOLE)))
    assert decode(after.params["b/weight"]).tolist() == [[[[5, 7]]], [[[0, 8]]]]


@pytest.mark.parametrize("kind", ["codebook", "linear", "sparse"])
def test_an_idle_unit_is_zero_in_any_encoding(kind: str) -> None:
    weight = linear(WHOLE, per_row=True) if kind == "linear" else encoded(kind, WHOLE)
    net = Net(x=(3, 3, 2))
    net.conv("b", "x", weight)
    net.conv("y", "b", np.zeros((1, 1, 4, 2)))
    after = checked(net.graph())
    assert shapes(after)["b/weight"] == (2, 1, 2, 1)
    assert not decode(after.params["b/weight"]).any()
    assert isinstance(after.params["b/weight"].values, type(weight.values))


def test_parameters_that_are_not_cut_keep_their_encoding() -> None:
    net = Net(x=(3,))
    net.gemm("a", "x", kernel(3, 3), kernel(3))
    net.gemm("b", "a", kernel(3, 3), kernel(3))
    net.gemm("c", "b", kernel(3, 3, unread=[0]), kernel(3))
    before = net.graph()
    after = checked(before)
    kept = {name for name in before.params if after.params[name] is before.params[name]}
    assert kept == {"a/weight", "a/bias", "c/bias"}


# odd numbers


def test_a_constant_that_would_overflow_the_bias_stays() -> None:
    net = Net(x=(2,))
    net.gemm("a", "x", kernel(2, 2, dead=[0]), [3e38, 1])
    net.gemm("y", "a", [[2.0], [1.0]], [-3e38])
    assert_nothing_to_cut(net.graph())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_is_no_constant(value: float) -> None:
    net = Net(x=(2,))
    net.gemm("a", "x", kernel(2, 2, dead=[0]), [value, 1])
    net.gemm("y", "a", kernel(2, 1))
    assert_nothing_to_cut(net.graph())
    assert np.isnan(constant_channels(net.graph(), {"x": (2,), "a": (2,), "y": (1,)})["a"]).all()
    net.params["a/bias"] = encode([1.0, 1.0])
    net.params["y/weight"] = encode([[value], [1.0]])
    assert_nothing_to_cut(net.graph())


def test_a_negative_zero_is_a_zero() -> None:
    net = Net(x=(2,))
    net.gemm("a", "x", [[-0.0, 1], [0.0, 2]], [-0.0, 1])
    net.gemm("y", "a", kernel(2, 1))
    assert shapes(checked(net.graph()))["a/weight"] == (2, 1)


def test_a_network_whose_parts_do_not_fit_is_refused() -> None:
    net = Net(x=(2,))
    net.gemm("a", "x", kernel(3, 2))
    with pytest.raises(ModelError, match="'a'"):
        remove_dead_units(net.graph())


# any network


@st.composite
def networks(draw: st.DrawFn) -> Graph:
    """Draw blocks in a row with branches, and weights of which most are zero."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    density = draw(st.sampled_from([0.05, 0.3, 0.8]))
    blocks = draw(st.lists(st.sampled_from(sorted(BLOCKS)), min_size=1, max_size=7))
    grow = _Growing(rng, density)
    for block in blocks:
        BLOCKS[block](grow)
    if draw(st.booleans()):
        grow.taps.append(grow.last)
    grow.head(flat=draw(st.booleans()))
    graph = grow.net.graph(*grow.taps, grow.last)
    stored = draw(st.sampled_from(["float32", "codebook", "linear"]))
    if stored == "codebook":
        return share_weights.kmeans(graph, bits=2)
    return graph if stored == "float32" else quantize.linear(graph, bits=5, granularity="channel", biases=True)


class _Growing:
    """A network under construction: the last activation, its channels, and how dense weights are."""

    def __init__(self, rng: np.random.Generator, density: float) -> None:
        self.net, self.rng, self.density = Net(x=(9, 9, 3)), rng, density
        self.last, self.channels, self.count = "x", 3, 0
        self.taps: list[str] = []

    def sparse(self, *shape: int) -> NDArray[np.float32]:
        kept = self.rng.random(shape) < self.density
        kept &= self.rng.random(shape[-1]) < 0.7  # units without inputs
        return np.where(kept, self.rng.normal(size=shape), 0).astype(np.float32)

    def add(self, op: str, *sources: str, params: dict[str, ArrayLike | str] | None = None, **attrs: Any) -> str:
        self.count += 1
        self.last = self.net.add(op, f"n{self.count}", *(sources or (self.last,)), params=params, **attrs)
        return self.last

    def conv(self, source: str, channels: int, *, size: int = 3, pads: tuple[int, ...] = ONE, group: int = 1) -> str:
        roles: dict[str, ArrayLike | str] = {"weight": self.sparse(size, size, self.channels // group, channels)}
        if self.rng.random() < 0.7:
            roles["bias"] = self.sparse(channels)
        return self.add("Conv", source, params=roles, pads=pads, group=group)

    def act(self) -> None:
        op = str(self.rng.choice(["Relu", "Sigmoid", "Tanh", "Clip"]))
        self.add(op, **({"min": -0.5, "max": 0.5} if op == "Clip" else {}))

    def plain(self) -> None:
        size = int(self.rng.choice([1, 3]))
        source, channels = self.last, int(self.rng.integers(1, 6))
        self.conv(source, channels, size=size, pads=ONE if size == 3 else NONE)
        self.channels = channels
        self.act()

    def normalized(self) -> None:
        self.conv(self.last, self.channels)
        size = self.channels
        moments: dict[str, ArrayLike | str] = {
            "scale": self.sparse(size),
            "bias": self.sparse(size),
            "mean": self.sparse(size),
            "var": self.rng.random(size) + 0.1,
        }
        self.add("BatchNormalization", params=moments)
        self.act()

    def residual(self) -> None:
        start = self.last
        self.conv(start, self.channels)
        self.act()
        branch = self.conv(self.last, self.channels)
        self.add("Add", start, branch)

    def twice(self) -> None:
        """Apply one convolution two times, as recurrent networks do."""
        self.conv(self.last, self.channels)
        roles = dict(self.net.nodes[-1].params)
        self.add("Relu")
        self.add("Conv", params=roles, pads=ONE)

    def concatenated(self) -> None:
        start, sizes = self.last, [int(n) for n in self.rng.integers(1, 4, size=2)]
        parts = [self.conv(start, sizes[0]), self.conv(start, sizes[1], size=1, pads=NONE), start]
        self.add("Concat", *parts, axis=3)
        self.channels += sum(sizes)

    def lines(self) -> None:
        start = self.last
        parts = [self.conv(start, self.channels), start]
        self.add("Concat", *parts, axis=2)
        self.add("MaxPool", kernel_shape=(1, 2), strides=(1, 2))

    def depthwise(self) -> None:
        multiplier = int(self.rng.integers(1, 3))
        self.conv(self.last, self.channels * multiplier, group=self.channels)
        self.channels *= multiplier

    def grouped(self) -> None:
        self.conv(self.last, 4)
        self.channels = 4
        self.conv(self.last, 6, group=2)
        self.channels = 6

    def pooled(self) -> None:
        op = str(self.rng.choice(["MaxPool", "AveragePool"]))
        include = {"count_include_pad": bool(self.rng.random() < 0.5)} if op == "AveragePool" else {}
        self.add(op, kernel_shape=(2, 2), strides=(1, 1), pads=(0, 1, 1, 0), **include)

    def padded(self) -> None:
        self.add("Pad", pads=(0, 1, 0, 0))
        self.conv(self.last, self.channels, size=2, pads=(0, 0, 1, 0))

    def tapped(self) -> None:
        """Return something made of the last activation, which others go on reading."""
        here = self.last
        self.taps.append(self.conv(here, 2, pads=ONE if self.rng.random() < 0.5 else NONE))
        self.last = here

    def head(self, *, flat: bool) -> None:
        graph = self.net.graph(self.last)
        shape = infer_shapes(graph)[self.last]
        self.add("Flatten") if flat else self.add("GlobalAveragePool")
        size = int(np.prod(shape)) if flat else shape[-1]
        self.add("Gemm", params={"weight": self.sparse(size, 5), "bias": self.sparse(5)})
        self.add("Relu")
        self.add("Gemm", params={"weight": self.sparse(5, 3)})
        self.add("Softmax")


BLOCKS = {
    name: getattr(_Growing, name)
    for name in (
        "plain",
        "normalized",
        "residual",
        "twice",
        "concatenated",
        "lines",
        "depthwise",
        "grouped",
        "pooled",
        "padded",
        "tapped",
    )
}


@settings(max_examples=150)
@given(networks())
def test_outputs_of_any_network_stay_and_nothing_is_left_to_cut(before: Graph) -> None:
    after = checked(before)
    assert parameter_count(after) <= parameter_count(before) + sum(
        after.params[node.params["bias"]].shape[0] for node in after.nodes if "bias" in node.params
    )


# plain chains: what is left by an oracle that tries


def chain(seed: int, density: float) -> Graph:
    rng = np.random.default_rng(seed)
    sizes = [3, *rng.integers(1, 5, size=3).tolist(), 2]
    net, last = Net(x=(3,)), "x"
    for number, (size, units) in enumerate(itertools.pairwise(sizes)):
        weight = rng.normal(size=(size, units)) * (rng.random((size, units)) < density)
        bias = rng.normal(size=units) * (rng.random(units) < 0.5)
        last = net.gemm(f"fc{number}", last, weight, bias)
        last = net.add("Tanh", f"tanh{number}", last)  # never flat, so that what is read shows
    return net.graph()


def outputs_with(layers: list[tuple[NDArray[np.float64], NDArray[np.float64]]], x: NDArray[np.float64]) -> Any:
    for weight, bias in layers:
        x = np.tanh(x @ weight + bias)
    return x


def removable(layers: list[tuple[NDArray[np.float64], NDArray[np.float64]]], hidden: int, unit: int) -> bool:
    """Whether a hidden unit can be replaced by a number: what it is for the first sample."""
    x = np.random.default_rng(1).normal(size=(50, 3))
    value = outputs_with(layers[: hidden + 1], x[:1])[0, unit]
    weight, bias = layers[hidden + 1]
    without = weight.copy()
    without[unit] = 0
    replaced = [*layers[: hidden + 1], (without, bias + value * weight[unit]), *layers[hidden + 2 :]]
    return bool(np.abs(outputs_with(replaced, x) - outputs_with(layers, x)).max() < 1e-12)


@settings(max_examples=200)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.5, 0.7]))
def test_of_a_plain_chain_exactly_the_units_stay_that_cannot_be_replaced_by_a_number(seed: int, density: float) -> None:
    before = chain(seed, density)
    after = checked(before)
    layers = [
        tuple(decode(before.params[f"fc{i}/{role}"]).astype(np.float64) for role in ("weight", "bias"))
        for i in range(4)
    ]
    for hidden in range(3):
        units = layers[hidden][0].shape[1]
        needed = [unit for unit in range(units) if not removable(layers, hidden, unit)]
        assert shapes(after)[f"fc{hidden}/weight"][1] == max(1, len(needed))
        rows = decode(after.params[f"fc{hidden}/bias"])
        if needed and not bias_changed(before, after):
            assert rows.tolist() == layers[hidden][1].astype(np.float32)[needed].tolist()


# with other parts


@pytest.mark.parametrize("density", [0.01, 0.05])
def test_lenet_5_at_one_percent_loses_most_of_its_parameters_and_no_output(density: float) -> None:
    rng = np.random.default_rng(0)
    graph = lenet_5.build(rng)
    arrays_of = {
        name: rng.normal(size=encoding.shape) if len(encoding.shape) == 1 else decode(encoding)
        for name, encoding in graph.params.items()
    }
    pruned = graph.with_params(
        {
            name: encode(np.where((rng.random(array.shape) < density) | (array.ndim == 1), array, 0))
            for name, array in arrays_of.items()
        }
    )
    after = checked(pruned)
    assert parameter_count(after) < parameter_count(graph) * (0.1 if density == 0.01 else 0.9)
    assert infer_shapes(after)["probabilities"] == (10,)
    x = rng.random((4, 28, 28, 1)).astype(np.float32)
    np.testing.assert_allclose(run(after, x)[0], run(pruned, x)[0], atol=1e-6)


def test_the_pass_stands_in_a_recipe_after_pruning() -> None:
    steps = '[[pass]]\nname = "prune.magnitude"\nsparsity = 0.99\n[[pass]]\nname = "remove_dead_units"'
    graph = lenet_5.build(np.random.default_rng(0))
    small, report = compress(graph, recipe.parse(steps))
    x = np.random.default_rng(1).random((2, 28, 28, 1)).astype(np.float32)
    wanted = run(prune.magnitude(graph, sparsity=0.99), x)[0]
    np.testing.assert_allclose(run(small, x)[0], wanted, atol=1e-6)
    assert parameter_count(small) < parameter_count(graph) / 2
    assert report.dense_bytes == 4 * lenet_5.PARAMETER_COUNT


def test_values_that_a_cut_relied_on_do_not_come_back() -> None:
    # the pruned 1e-3 would not make 'a' smaller; but it makes a constant, which b's unit 0 is then made of
    net = Net(x=(1, 1, 1))
    net.conv("a", "x", [[[[1e-3, 1.0]]]], [2, 3])
    net.conv("b", "a", [[[[1.0, 2.0], [0.0, 3.0]]]])
    net.conv("y", "b", [[[[5.0], [1.0]]]])
    net.conv("padded", "a", kernel(3, 3, 2, 1), pads=ONE)  # keeps the constant
    steps = '[[pass]]\nname = "prune.magnitude"\nsparsity = 0.5\n[[pass.layers]]\nmatch = "re:[by]|padded"\nskip = true'
    once = recipe.parse(steps + '\n[[pass]]\nname = "remove_dead_units"')
    small, _ = compress(net.graph("y", "padded"), once)
    assert shapes(small)["b/weight"] == (1, 1, 2, 1)
    assert decode(small.params["a/weight"]).ravel().tolist() == [0, 1]
