"""A lowered network: a straight line of calls to the runtime's kernels, shapes and weights attached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from refcompress.encodings import Csr, Encoding, Float32, Huffman, IntegerCodebook, Joint, Linear
from refcompress.encodings.values import stream_of
from refcompress.graph import Shape
from refcompress.integer import Quantization

CSR, CODEBOOK, LINEAR, HUFFMAN_VALUES, HUFFMAN_GAPS, JOINT = 0x01, 0x02, 0x04, 0x10, 0x20, 0x40
SHARED = CODEBOOK | LINEAR  # a codebook of integers


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A parameter as the runtime reads it.

    Attributes
    ----------
    name
        Name of the parameter; two tensors of one name are the same.
    label
        Layer and role, from which identifiers and comments are made.
    encoding
        Its encoding; Huffman codes have one stream.

    """

    name: str
    label: str
    encoding: Encoding


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """Integers that a kernel reads.

    Attributes
    ----------
    name
        Two tables of one name are the same.
    label
        Layer and role, from which identifiers and comments are made.
    values
        int8, int32 or another integer type of C, one dimension.
    aligned
        Whether they must be aligned to 4 bytes.

    """

    name: str
    label: str
    values: NDArray[Any]
    aligned: bool = False


@dataclass(frozen=True, slots=True)
class Axes:
    """An order in which elements are visited; the last axis runs fastest.

    Attributes
    ----------
    sizes, strides
        Of each axis; strides in elements.

    """

    sizes: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One call of a kernel.

    Attributes
    ----------
    kernel
        Name of the kernel.
    name
        Name of the node it comes from.
    inputs, output
        Names of the activations it reads and makes.
    sizes
        Integers the kernel takes, named and ordered as in its C declaration.
    floats
        Likewise float32 numbers.
    weight
        The weight that is streamed.
    arrays
        Dense float32 parameters by role; an optional one may be missing.
    parts
        Elements of a run of each input (Concat).
    overwrites
        Indices of the inputs in whose memory the output may be made.
    integers
        Signed integers the kernel takes, named as in its C declaration.
    tables
        Tables of integers by role.
    scratch_bytes
        What it takes of the arena while it runs.
    pool
        Sizes of a MaxPool that follows inside the kernel; its result is the output.
    axes
        Orders of elements, named as in its C declaration.
    weights
        Streamed weights by role, of a kernel that takes several.
    functions
        Names of functions of the runtime that the kernel is given, by role.
    given
        Roles of the inputs behind the first, of a kernel that may do without some.
    elements
        Of an output that the network does not name.
    lag
        The output may lie over the first input if it begins at least so many elements before it; None if it may not.
    layers
        Steps that run row by row inside this one.

    """

    kernel: str
    name: str
    inputs: tuple[str, ...]
    output: str
    sizes: Mapping[str, int] = field(default_factory=dict)
    floats: Mapping[str, float] = field(default_factory=dict)
    weight: Tensor | None = None
    arrays: Mapping[str, Tensor] = field(default_factory=dict)
    parts: tuple[int, ...] = ()
    overwrites: tuple[int, ...] = ()
    integers: Mapping[str, int] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    scratch_bytes: int = 0
    pool: Mapping[str, int] = field(default_factory=dict)
    axes: Mapping[str, Axes] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    functions: Mapping[str, str] = field(default_factory=dict)
    given: tuple[str, ...] = ()
    elements: int = 0
    lag: int | None = None
    layers: tuple[RowLayer, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RowLayer:
    """A step that makes its output row by row, of an input whose rows are made so too.

    Attributes
    ----------
    step
        The step; its sizes are those of the whole planes.
    after
        Elementwise steps that change its rows where they are made.
    sources
        Which layers before it make its inputs; -1 is the input of all of them.
    in_h, out_h
        Rows of an input and of the output.
    in_row_bytes, out_row_bytes
        Bytes of a row of the first input and of the output.
    kernel_h, stride_h, pad_top
        The window that moves over the rows; ``kernel_h`` counts its dilation.
    kept
        Rows of its output that are kept; none of the last layer's, which is the output of all of them.
    at
        Byte of the scratch memory where these lie.

    """

    step: Step
    sources: tuple[int, ...]
    in_h: int
    out_h: int
    in_row_bytes: int
    out_row_bytes: int
    kernel_h: int = 1
    stride_h: int = 1
    pad_top: int = 0
    kept: int = 0
    at: int = 0
    after: tuple[Step, ...] = ()

    @property
    def last(self) -> Step:
        """The step that makes the output."""
        return self.after[-1] if self.after else self.step


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A lowered network.

    Attributes
    ----------
    inputs
        Names of the network's inputs.
    outputs
        Name of the activation that each output of the network is; one may stand twice, or be an input.
    output_names
        The names the network gives them.
    elements
        Elements of each activation.
    steps
        Calls in order; each activation is made once.
    shapes
        Shapes of the activations that the network names, for the comments of what is generated.
    quantizations
        Of its inputs and outputs by name, if it computes with integers; a float network has none.

    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    elements: Mapping[str, int]
    steps: tuple[Step, ...]
    shapes: Mapping[str, Shape] = field(default_factory=dict)
    quantizations: Mapping[str, Quantization] = field(default_factory=dict)

    @property
    def c_type(self) -> str:
        """C type of an element."""
        return "int8_t" if self.quantizations else "float"

    @property
    def element_bytes(self) -> int:
        """Bytes of an element."""
        return 1 if self.quantizations else 4


def form_of(encoding: Encoding) -> int:
    """Bits that tell which instance of a kernel executes an encoding (``rc_weights.h``).

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> form_of(encode([[1.0]]))
    0

    """
    values, stream = encoding.values, stream_of(encoding.values)
    form = 0 if isinstance(values, Float32) else LINEAR if isinstance(values, Linear) else CODEBOOK
    form |= SHARED if isinstance(values, IntegerCodebook) else 0
    form |= HUFFMAN_VALUES if isinstance(stream, Huffman) else 0
    if isinstance(encoding, Csr):
        form |= CSR
        form |= HUFFMAN_GAPS if isinstance(encoding.gaps, Huffman) else 0
        form |= JOINT if isinstance(stream, Joint) else 0
    return form


def form_name(form: int) -> str:
    """Name of a form as it stands in the kernels' names: rows, values, gap stream, value stream.

    Examples
    --------
    >>> form_name(0), form_name(CSR | CODEBOOK | HUFFMAN_VALUES), form_name(CSR | LINEAR | JOINT | HUFFMAN_GAPS)
    ('dense_float32', 'csr_codebook_bits_huffman', 'csr_linear_joint_huffman')

    """
    kind = {CODEBOOK: "codebook", LINEAR: "linear", SHARED: "shared"}.get(form & SHARED, "float32")
    words = ["csr" if form & CSR else "dense", kind]
    if form & JOINT:
        words.append("joint")
    if form & CSR:
        words.append("huffman" if form & HUFFMAN_GAPS else "bits")
    if kind != "float32" and not form & JOINT:
        words.append("huffman" if form & HUFFMAN_VALUES else "bits")
    return "_".join(words)
