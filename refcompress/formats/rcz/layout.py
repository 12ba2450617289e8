"""What is fixed in the header of an ``.rcz`` container: limits, defaults, dictionary, names, shapes (see SPEC.md)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refcompress.graph import Node, Shape, TensorSpec

MAX_HEADER_BYTES = 1 << 20  # inflated
MAX_NAME = 1024
MAX_AXES = 8
MAX_INT = (1 << 31) - 1
MAX_INT_DIGITS = 11  # of any integer in the header, with its sign

# Attributes that are left out where they have these values. Part of the format: a change would change the meaning
# of files that exist.
DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "AveragePool": {
        "kernel_shape": [2, 2],
        "strides": [2, 2],
        "pads": [0, 0, 0, 0],
        "count_include_pad": False,
    },
    "BatchNormalization": {"epsilon": 0.001},
    "Clip": {"min": 0.0, "max": 6.0},
    "Conv": {"strides": [1, 1], "pads": [0, 0, 0, 0], "dilations": [1, 1], "group": 1},
    "GlobalAveragePool": {"keepdims": False},
    "GlobalMaxPool": {"keepdims": False},
    "MaxPool": {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0]},
}

# What deflate may refer to before the first byte of the header. Part of the format. The commonest stands last, where
# distances are short.
DICTIONARY = b"".join(
    (
        b'"],["GlobalMaxPool","global_max_pooling2d',
        b'"],["Sigmoid","sigmoid"],["Tanh","tanh',
        b'"],["Dropout","dropout",{"ratio":0.5}],["Dropout","dropout_1',
        b'"],["Reshape","reshape",{"shape":[1,1,',
        b'"],["Pad","zero_padding2d",{"pads":[1,1,1,1]}],["Clip","re_lu',
        b'"],["Concat","concatenate",{"axis":3,"i":["',
        b'"],["AveragePool","average_pooling2d",{"kernel_shape":[3,3],"strides":[2,2],"pads":[0,0,1,1],',
        b'"count_include_pad":true,"dilations":[1,1],"keepdims":true,"epsilon":1e-05',
        b'"],["GlobalAveragePool","global_average_pooling2d',
        b'"],["Conv","depthwise_conv2d",{"group":64,"pads":[1,1,1,1],"strides":[1,1],"p":{"weight":0,"bias":1}',
        b'["/depthwise_kernel",3,3,1,["/pointwise_kernel",1,1,["/depthwise_bias",["/pointwise_bias",',
        b"[8,96],[12,112],[20,144],[24,160],[48,256],[50,[64,260],[96,388],[128,516],[256,1028],[300,[500,[512,[1000,",
        b'"],["Add","add_1",{"i":["activation","conv2d_',
        b'"],["BatchNormalization","batch_normalization","],["Relu","relu',
        b'["/moving_mean",["/moving_variance",["/gamma",["/beta",["/scale",["/mean",["/var",["/kernel",["/bias",',
        b"[5,5,1,[5,5,[3,3,16,[3,3,32,[3,3,64,[3,3,3,[1,1,[10,44],[2,12],[100,[16,68],[32,132],",
        b'"],["MaxPool","max_pooling2d"],["MaxPool","pool1"],["Conv","conv1"],["Conv","conv2d_1"],["Conv","conv2',
        b'"],["Relu","activation_1"],["Relu","relu1"],["Flatten","flatten"],["Gemm","fc1"],["Gemm","ip1',
        b'"],["Gemm","dense_1"],["Gemm","dense/relu"],["Softmax","dense/softmax"],["Softmax","probabilities',
        b'"],["Softmax","softmax"]],[[3,3,1,[["image",28,28,1],["input_1",32,32,3]],[["Conv","conv2d"],["Relu","',
    )
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the header says of a parameter.

    Attributes
    ----------
    name
        Its name.
    shape
        Shape of the array.
    size_bytes
        Bytes of its packed tensor.

    """

    name: str
    shape: Shape
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Header:
    """A graph without its weights; the parameters stand in the order of their tensors.

    Of an integer network, ``quantizations`` is what the header says of those, not looked at yet.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    entries: tuple[Entry, ...]
    quantizations: tuple[Any, ...] = ()


class HeaderError(Exception):
    """A constraint of the header is broken; the container turns it into a FormatError with the offset."""


def as_list(value: Any, what: str) -> list[Any]:
    """Return decoded JSON that must be a list.

    Raises
    ------
    HeaderError
        It is none.

    """
    if not isinstance(value, list):  # C7
        raise HeaderError(f"{what}: a list is wanted, not a {type(value).__name__}")
    return value


def check_name(name: Any) -> str:
    """Return a name of decoded JSON.

    Raises
    ------
    HeaderError
        It is no text, empty, too long, or no Unicode.

    Examples
    --------
    >>> check_name("conv1")
    'conv1'

    """
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:  # C8
        raise HeaderError(f"a name of 1 to {MAX_NAME} characters is wanted, not {_shown(name)}")
    if any("\ud800" <= character <= "\udfff" for character in name):  # C8
        raise HeaderError(f"the name {name!r} has half a surrogate pair")
    return name


def _shown(value: Any) -> str:
    return f"{value[:40]!r}..." if isinstance(value, str) and value else f"a {type(value).__name__}"


def check_shape(shape: list[Any], what: str) -> Shape:
    """Return a shape of decoded JSON.

    Raises
    ------
    HeaderError
        It has too many axes or elements, or an axis that is no positive integer.

    Examples
    --------
    >>> check_shape([28, 28, 1], "the input")
    (28, 28, 1)

    """
    fits = len(shape) <= MAX_AXES and all(type(n) is int and 1 <= n <= MAX_INT for n in shape)
    if not fits or math.prod(shape) > MAX_INT:  # C9
        raise HeaderError(f"{what}: up to {MAX_AXES} axes of at least 1, and fewer than 2^31 elements, are wanted")
    return tuple(shape)
