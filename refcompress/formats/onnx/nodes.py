"""ONNX's operators that are imported, and how one node is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from refcompress.errors import FormatError, ModelError, did_you_mean
from refcompress.formats.onnx import constants
from refcompress.formats.onnx.call import Call
from refcompress.formats.onnx.elementwise import ELEMENTWISE
from refcompress.formats.onnx.layout import Tensor
from refcompress.formats.onnx.network import Constant, Network, Value
from refcompress.formats.onnx.normalization import NORMALIZATIONS
from refcompress.formats.onnx.products import PRODUCTS, add_bias
from refcompress.formats.onnx.proto import attributes, shown
from refcompress.formats.onnx.recurrent import RECURRENT
from refcompress.formats.onnx.shapes import SHAPES
from refcompress.formats.onnx.windows import WINDOWS

NODES: Mapping[str, Callable[[Call], list[Value]]] = MappingProxyType(
    {**ELEMENTWISE, **NORMALIZATIONS, **PRODUCTS, **RECURRENT, **SHAPES, **WINDOWS}
)

DOMAINS = ("", "ai.onnx")
INTEGERS = frozenset(
    {
        "QuantizeLinear",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "QLinearConv",
        "QLinearMatMul",
        "ConvInteger",
        "MatMulInteger",
    }
)
CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})


def add_node(network: Network, node: Any) -> None:
    """Import one node.

    Parameters
    ----------
    network
        The network in the making; the node's outputs are added to its values.
    node
        The NodeProto.

    Raises
    ------
    ModelError
        It cannot be represented; the message names it.

    """
    outputs = tuple(node.output)
    where = f"node {shown(node.name or next(filter(None, outputs), ''))} ({node.op_type[:60]})"
    try:
        _check_operator(node)
        name = node.name or next(filter(None, outputs), "") or node.op_type
        call = Call(network, node.op_type, name, tuple(node.input), outputs, attributes(node, where))
        values = _values(call)
        _check_all_read(call)
    except (ModelError, FormatError) as error:
        text = error.message if isinstance(error, FormatError) else str(error)
        raise ModelError(text if text.startswith(where) else f"{where}: {text}") from error
    for output, value in zip(outputs, values, strict=False):
        if output in network.values:
            raise ModelError(f"{where}: it makes {shown(output)} a second time; names of tensors are unique in ONNX")
        if output and (network.uses[output] or isinstance(value, Tensor)):
            network.values[output] = value


def _check_operator(node: Any) -> None:
    if node.domain not in DOMAINS:
        raise ModelError(
            f"it is of the domain {shown(node.domain)}; supported are ONNX's own operators: export the model without "
            "custom ones, and before any runtime has optimized it"
        )
    if node.op_type in INTEGERS:
        raise ModelError(
            "quantized networks are not read from ONNX; give the floating-point model, or the same network as .tflite"
        )
    if node.op_type in CONTROL:
        raise ModelError("control flow is not supported; export the model without branches and loops")


def _check_all_read(call: Call) -> None:
    unread = set(call.attrs) - call.read
    if unread:
        raise ModelError(f"it has attributes that are not supported: {', '.join(sorted(unread))[:200]}")


def _values(call: Call) -> list[Value]:
    inputs = [call.value(i) if call.has(i) else None for i in range(len(call.inputs))]
    if call.op in {"Shape", "Size"} and inputs and isinstance(inputs[0], Tensor):
        return list(_measured(call, inputs[0]))
    if all(not isinstance(value, Tensor) for value in inputs):
        folded = constants.fold(call, [value if isinstance(value, Constant) else None for value in inputs])
        if call.op == "Identity" and isinstance(inputs[0], Constant):
            return [inputs[0]]
        return list(folded)
    if call.op not in NODES:
        raise ModelError(
            f"this operator is not supported on what the network computes{did_you_mean(call.op, NODES)}; there are "
            f"{', '.join(sorted(NODES))}"
        )
    if call.op == "Add":
        biased = add_bias(call)
        if biased is not None:
            return [biased]
    return NODES[call.op](call)


def _measured(call: Call, x: Tensor) -> list[Constant]:
    """Return the shape of a tensor, or its number of elements, for each size of the batch."""
    samples = call.batch.size

    def lengths(n: int) -> list[int]:
        return [
            length // samples * n if call.batch in group else length
            for length, group in zip(x.shape, x.axes, strict=True)
        ]

    if call.op == "Shape":
        return constants.shape_of(call, lengths)
    return [constants.merged([np.array(math.prod(lengths(n)), np.int64) for n in call.network.batches])]
