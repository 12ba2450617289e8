"""How PyTorch lays out the parameters of its layers, and how they become ours.

=====================  ============================================  ==========================================
operator and role      PyTorch                                       here
=====================  ============================================  ==========================================
Conv weight            weight (out, in / group, kh, kw)              (kh, kw, in / group, out)
ConvTranspose weight   weight (in, out / group, kh, kw)              (kh, kw, in, out / group)
Gemm weight            weight (out, in)                              (in, out)
Gather weight          weight (rows, dim)                            the same
normalizations         weight, bias, running_mean, running_var       scale, bias, mean, var
PRelu slope            weight (channels,)                            the same, in the slope's shape
RNN, LSTM, GRU         weight_ih_l0 (gates * units, in)              weight (in, gates * units)
                       weight_hh_l0 (gates * units, units)           recurrent_weight (units, gates * units)
LSTM, RNN bias         bias_ih_l0 + bias_hh_l0                       bias
GRU biases             bias_ih_l0, bias_hh_l0                        bias, recurrent_bias (linear_before_reset)
=====================  ============================================  ==========================================

One-dimensional convolutions have kernels (out, in, k), which become (1, k, in, out) or (k, 1, in, out). A depthwise
convolution is one whose groups are its channels; the table holds for it as it stands. The gates of an LSTM have the
same order in both (i, f, candidate, o); those of a GRU are r, z, n in PyTorch and z, r, h here.

PyTorch flattens (channels, height, width), we flatten (height, width, channels): the inputs of a Gemm that reads what
was flattened are reordered, and so are the outputs of a Gemm that are reshaped to (height, width, channels).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import ModelError
from refcompress.graph import Graph, Node, Shape
from refcompress.ops import infer_shapes

Array = NDArray[np.float32]
Order = NDArray[np.intp]

_DOTTED = re.compile(
    r"(?P<module>.+)\.(?P<kind>weight|bias|running_mean|running_var|num_batches_tracked"
    r"|(?:weight|bias)_[ih]h(?P<layer>_l[0-9]+)?(?P<reverse>_reverse)?)",
    re.DOTALL,
)
_FIRST_LAYER = re.compile(r"_l0(?=(_reverse)?$)")
_KINDS = {"scale": "weight", "slope": "weight", "mean": "running_mean", "var": "running_var"}
_RESHAPES = {"Flatten", "Reshape"}
_RECURRENT = {"weight": "weight_ih", "recurrent_weight": "weight_hh", "bias": "bias_ih", "recurrent_bias": "bias_hh"}
_GATES: Mapping[str, tuple[int, ...]] = {
    "RNN": (0,),
    "LSTM": (0, 1, 2, 3),
    "GRU": (1, 0, 2),
}  # ours, counted as PyTorch's


@dataclass(frozen=True, slots=True)
class TorchName:
    """A name in a state dict.

    Attributes
    ----------
    module
        The layer, with the number and direction of a recurrent one: ``"lstm"``, ``"lstm_l1"``, ``"lstm_l0_reverse"``.
    kind
        What it is of the layer: ``"weight"``, ``"running_mean"``, ``"weight_ih"``.

    """

    module: str
    kind: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How PyTorch stores one parameter.

    Attributes
    ----------
    shapes
        Shapes that it may have there.
    convert
        From there to here.

    """

    shapes: tuple[Shape, ...]
    convert: Callable[[Array], Array]


def torch_name(name: str) -> TorchName | None:
    """Take a dotted name of a state dict apart; None for any other name.

    Examples
    --------
    >>> torch_name("features.0.weight")
    TorchName(module='features.0', kind='weight')
    >>> torch_name("lstm.bias_hh_l0_reverse")
    TorchName(module='lstm_reverse', kind='bias_hh')
    >>> torch_name("conv1/weight") is None
    True

    """
    match = _DOTTED.fullmatch(name)
    if match is None:
        return None
    layer, reverse = match["layer"] or "", match["reverse"] or ""
    kind = match["kind"].removesuffix(layer + reverse)
    return TorchName(match["module"] + ("" if layer == "_l0" else layer) + reverse, kind)


def module_names(node: str) -> tuple[str, ...]:
    """Return what PyTorch may call the module of a node: dots for its slashes, no number for the first layer.

    Examples
    --------
    >>> module_names("rnn/lstm_l0")
    ('rnn/lstm_l0', 'rnn/lstm', 'rnn.lstm_l0', 'rnn.lstm')

    """
    plain = _FIRST_LAYER.sub("", node)
    return tuple(dict.fromkeys((node, plain, node.replace("/", "."), plain.replace("/", "."))))


def kinds(node: Node, role: str) -> tuple[str, ...]:
    """Return what PyTorch calls a parameter of a node, see :class:`TorchName`; several where it keeps their sum apart.

    Examples
    --------
    >>> kinds(Node("BatchNormalization", "bn", ("x",), "y"), "var")
    ('running_var',)

    """
    if node.op not in _GATES:
        return (_KINDS.get(role, role),)
    return ("bias_ih", "bias_hh") if role == "bias" and node.op != "GRU" else (_RECURRENT[role],)


@dataclass(frozen=True, slots=True, eq=False)
class Orders:
    """In which order PyTorch has the features that we flatten.

    Attributes
    ----------
    known
        Activation (n,) to the place of each of our features among PyTorch's; absent where they are the same.
    unknown
        Activations whose features PyTorch may have in either order.

    """

    known: Mapping[str, Order]
    unknown: frozenset[str]

    def index(self, activation: str, count: int) -> Order | slice:
        """Return what to index an axis of so many features with, to bring it from PyTorch's order to ours."""
        order = self.known.get(activation)
        return slice(None) if order is None or len(order) != count else order


def feature_orders(graph: Graph) -> Orders:
    """Follow flattened features through a network: PyTorch flattens (c, h, w), we flatten (h, w, c).

    Raises
    ------
    ModelError
        The parts of the network do not fit together.

    """
    shapes = infer_shapes(graph)
    known: dict[str, Order] = {}
    unknown: set[str] = set()
    for node in graph.nodes:
        inputs, after = [shapes[name] for name in node.inputs], shapes[node.output]
        if _is_mixed(node, inputs[0], after) or (not node.params and unknown.intersection(node.inputs)):
            unknown.add(node.output)
        elif node.op in _RESHAPES and len(after) == 1 and len(inputs[0]) == 3:
            known[node.output] = _flattened(inputs[0])
        elif len(after) == 1 and node.op != "Gemm" and known.keys() & set(node.inputs):
            orders = [known.get(name, np.arange(shapes[name][0])) for name in node.inputs]
            if node.op == "Concat":
                starts = np.cumsum([0, *(len(order) for order in orders)])
                known[node.output] = np.concatenate([o + s for o, s in zip(orders, starts, strict=False)])
            elif all(np.array_equal(order, orders[0]) and len(order) == after[0] for order in orders):
                known[node.output] = orders[0]
            else:
                unknown.add(node.output)
    for node in reversed(graph.nodes):
        before, after = shapes[node.inputs[0]], shapes[node.output]
        if node.op in _RESHAPES and len(before) == 1 and len(after) == 3:
            known.setdefault(node.inputs[0], _flattened(after))
        elif node.output in known and node.op not in {"Gemm", "Concat", *_RESHAPES}:
            for name in node.inputs:
                if shapes[name] == after:
                    known.setdefault(name, known[node.output])
    return Orders(known, frozenset(unknown))


def _is_mixed(node: Node, before: Shape, after: Shape) -> bool:
    """Whether channels and places are mixed in a way that depends on which of them comes first."""
    if node.op == "Transpose":
        return bool(node.attrs.perm[-1] != len(before))
    if node.op not in _RESHAPES or before[-1:] == after[-1:] or {len(before), len(after)} == {1, 3}:
        return False
    return any(sum(size > 1 for size in shape) > 1 for shape in (before, after))


def _flattened(shape: Shape) -> Order:
    height, width, channels = shape
    order: Order = np.arange(math.prod(shape)).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
    return order


def layout(node: Node, role: str, shape: Shape, orders: Orders) -> Layout:
    """Return how PyTorch stores one parameter of a node.

    Parameters
    ----------
    node, role
        Which one.
    shape
        It has here.
    orders
        Of the network's activations.

    Raises
    ------
    ModelError
        PyTorch has no such layer, or the order of its features cannot be known.

    """
    if orders.unknown.intersection(node.inputs):
        raise ModelError(
            f"node {node.name!r} ({node.op}) reads features that were rearranged, which PyTorch may have in another "
            "order; give its arrays in the layout they have here, under the names of the parameters"
        )
    if node.op in _GATES:
        return _recurrent(node, shape)
    if role == "weight" and node.op in {"Conv", "ConvTranspose"}:
        return _kernel(shape, transposed=node.op == "ConvTranspose")
    if role == "weight" and node.op == "Gemm":
        rows, columns = (orders.index(node.inputs[0], shape[0]), orders.index(node.output, shape[1]))
        return Layout((shape[::-1],), lambda array: array.T[rows][:, columns])
    if role == "weight" and node.op == "Gather":
        return Layout((shape,), lambda array: array)
    if len(shape) == 3 and node.op == "LayerNormalization":
        return Layout(((shape[2], *shape[:2]),), lambda array: array.transpose(1, 2, 0))
    if len(shape) == 1:
        index = orders.index(node.output, shape[0])
        return Layout((shape,), lambda array: array[index])
    if node.op == "PRelu" and shape[-1] == math.prod(shape):
        return Layout((shape[-1:],), lambda array: array.reshape(shape))
    raise ModelError(
        f"node {node.name!r} ({node.op}): its {role} of shape {shape} has no counterpart in PyTorch; give the array in "
        "the layout it has here, under the name of the parameter"
    )


def _kernel(shape: Shape, *, transposed: bool) -> Layout:
    kh, kw, *channels = shape
    first, second = channels if transposed else channels[::-1]
    full = (first, second, kh, kw)
    shapes = [full, *([(first, second, kh * kw)] if 1 in {kh, kw} else [])]
    axes = (2, 3, 0, 1) if transposed else (2, 3, 1, 0)
    return Layout(tuple(shapes), lambda array: array.reshape(full).transpose(axes))


def _recurrent(node: Node, shape: Shape) -> Layout:
    gates = _GATES[node.op]
    if node.op == "GRU" and not node.attrs.linear_before_reset:
        raise ModelError(
            f"node {node.name!r} (GRU) resets the state before the product, PyTorch's after it; make the node with "
            "linear_before_reset=True"
        )

    def ordered(array: Array) -> Array:
        blocks = array.reshape(len(gates), len(array) // len(gates), -1)
        return blocks[list(gates)].reshape(array.shape)

    return Layout((shape[::-1],), lambda array: ordered(array).T)
