"""Reading the parts of an ONNX file: tensors, and the attributes of nodes."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import FormatError, ModelError

Array = NDArray[Any]

MAX_TEXT = 200

FLOAT16, BFLOAT16 = 10, 16
# ONNX's number of a type to NumPy's name of it
DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    9: "bool",
    FLOAT16: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    BFLOAT16: "uint16",  # its bits; widened to float32
}
FLOATS = (1, FLOAT16, 11, BFLOAT16)
# where numbers stand that are not in raw_data
_FIELDS = {1: "float_data", 11: "double_data", 7: "int64_data", 12: "uint64_data", 13: "uint64_data"}

# AttributeProto.type to the field of the value
_ATTRIBUTES = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}


def shown(text: Any) -> str:
    """Return a name of the file for a message, of bounded length.

    Examples
    --------
    >>> shown("conv")
    "'conv'"

    """
    text = text if isinstance(text, str) else str(text)
    return repr(text) if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]!r}..."


def kind_of(elem_type: int) -> str | None:
    """Return ``"f"``, ``"i"`` or ``"b"`` for a type of elements, None for types that are no real numbers.

    Examples
    --------
    >>> kind_of(1), kind_of(7), kind_of(8)
    ('f', 'i', None)

    """
    if elem_type not in DTYPES:
        return None
    return "f" if elem_type in FLOATS else "b" if elem_type == 9 else "i"


def tensor_array(tensor: Any, what: str) -> Array:
    """Return the array of a TensorProto; bfloat16 is widened to float32.

    Parameters
    ----------
    tensor
        The TensorProto, of which nothing is taken for granted.
    what
        What it is, for messages.

    Raises
    ------
    ModelError
        Its numbers stand in another file, or are of a type that is not read.
    FormatError
        Its shape does not fit its numbers.

    """
    if tensor.data_location or tensor.external_data:
        raise ModelError(
            f"{what} stands in another file, and no other file is opened; "
            "save the model in one: onnx.save(onnx.load('model.onnx'), 'whole.onnx')"
        )
    if tensor.HasField("segment"):
        raise ModelError(f"{what} is one segment of a tensor; save the model again without segments")
    if tensor.data_type not in DTYPES:
        raise ModelError(f"{what} is of ONNX's type {tensor.data_type}; read are floats, integers and truth values")
    dims = tuple(tensor.dims)
    if len(dims) > 16 or any(not 0 <= n < 2**31 for n in dims):
        raise FormatError(f"{what} has the shape {dims[:20]}; at most 16 axes of 0 or more are allowed", 0)
    dtype = np.dtype(DTYPES[tensor.data_type])
    raw = tensor.HasField("raw_data")
    values = _raw(tensor.raw_data, dtype, what) if raw else _typed(tensor, dtype, what)
    if len(values) != math.prod(dims):
        raise FormatError(f"{what} holds {len(values)} numbers for the shape {dims}; they must be as many", 0)
    if tensor.data_type == BFLOAT16:
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values.reshape(dims)


def _raw(data: bytes, dtype: np.dtype[Any], what: str) -> Array:
    if len(data) % dtype.itemsize:
        raise FormatError(f"{what} holds {len(data)} bytes, no multiple of the {dtype.itemsize} of a number", 0)
    if dtype == np.dtype(bool):
        return np.asarray(np.frombuffer(data, np.uint8) != 0)
    values = np.frombuffer(data, dtype.newbyteorder("<"))
    return values if sys.byteorder == "little" else values.astype(dtype)


def _typed(tensor: Any, dtype: np.dtype[Any], what: str) -> Array:
    numbers = getattr(tensor, _FIELDS.get(tensor.data_type, "int32_data"))
    if dtype.kind == "f" and tensor.data_type != FLOAT16:
        return np.array(numbers, dtype)
    values = np.array(numbers, np.uint64 if tensor.data_type in {12, 13} else np.int64)
    if tensor.data_type == FLOAT16:
        return values.astype(np.uint16).view(np.float16)
    if dtype.kind in "iu" and len(values) and not _fits(values, dtype):
        raise FormatError(f"{what} holds numbers that its type {dtype} cannot", 0)
    return values.astype(dtype)


def _fits(values: Array, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return int(values.min()) >= limits.min and int(values.max()) <= limits.max


def attributes(node: Any, where: str) -> dict[str, Any]:
    """Return the attributes of a NodeProto by name: int, float, str, lists of them, or the TensorProto.

    Raises
    ------
    ModelError
        An attribute is a graph or of another kind that no supported operator has, or stands there twice.

    """
    values: dict[str, Any] = {}
    for attribute in node.attribute:
        name = attribute.name
        if name in values:
            raise ModelError(f"{where}: the attribute {shown(name)} stands there twice; it must once")
        if attribute.ref_attr_name or attribute.type not in _ATTRIBUTES:
            raise ModelError(
                f"{where}: the attribute {shown(name)} is a subgraph, a reference or of another kind that is not read; "
                "export the model without control flow and with its functions inlined"
            )
        value = getattr(attribute, _ATTRIBUTES[attribute.type])
        if attribute.type == 3:
            value = _text(value, where)
        elif attribute.type == 8:
            value = [_text(item, where) for item in value]
        elif attribute.type in {6, 7}:
            value = list(value)
        values[name] = value
    return values


def _text(value: bytes, where: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise ModelError(f"{where}: an attribute holds {value[:20]!r}, which is no UTF-8 text") from None
