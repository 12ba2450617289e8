"""A lowered network: a straight line of calls to the runtime's kernels, shapes and weights attached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from refcompress.encodings import Csr, Encoding, Float32, Huffman, Joint, Linear
from refcompress.encodings.values import stream_of
from refcompress.graph import Shape

CSR, CODEBOOK, LINEAR, HUFFMAN_VALUES, HUFFMAN_GAPS, JOINT = 0x01, 0x02, 0x04, 0x10, 0x20, 0x40


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

    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    output_names: tuple[str, ...]
    elements: Mapping[str, int]
    steps: tuple[Step, ...]
    shapes: Mapping[str, Shape] = field(default_factory=dict)


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
    kind = "codebook" if form & CODEBOOK else "linear" if form & LINEAR else "float32"
    words = ["csr" if form & CSR else "dense", kind]
    if form & JOINT:
        words.append("joint")
    if form & CSR:
        words.append("huffman" if form & HUFFMAN_GAPS else "bits")
    if kind != "float32" and not form & JOINT:
        words.append("huffman" if form & HUFFMAN_VALUES else "bits")
    return "_".join(words)
