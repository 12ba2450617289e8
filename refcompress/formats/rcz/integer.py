"""Integer networks in our container: quantizations in its header, biases as integers (see SPEC.md, version 2).

I1, I2, ... are the constraints of SPEC.md that integer networks add.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress import encodings, ops
from refcompress.encodings import Encoding
from refcompress.errors import FormatError, ModelError, OptionError
from refcompress.files import write_file
from refcompress.formats.rcz import container
from refcompress.formats.rcz.header import pack_header, parameter_order, unpack_header
from refcompress.formats.rcz.layout import Entry, Header, HeaderError
from refcompress.graph import Graph, Node
from refcompress.integer import IntegerNetwork, Quantization, real_bias
from refcompress.integer.quantization import MAX_BITS
from refcompress.integer.step import weight_scales

MAGIC = container.MAGIC
BIAS_BYTES = (1, 2, 3, 4)


def looks_like(start: bytes) -> bool:
    """Whether a file that begins so is a container of an integer network.

    Examples
    --------
    >>> looks_like(MAGIC + bytes([2])), looks_like(MAGIC + bytes([1]))
    (True, False)

    """
    return start[:9] == MAGIC + bytes([container.INTEGER_VERSION])


def save(network: IntegerNetwork, path: str | os.PathLike[str]) -> None:
    """Write an integer network to a file, whole or not at all.

    Parameters
    ----------
    network
        The network; :func:`refcompress.integer.smallest` of it takes the fewest bytes.
    path
        The file; an existing one is replaced.

    Raises
    ------
    ModelError
        The network cannot be written.
    OSError
        The system refuses; what was there before is untouched.

    """
    write_file(path, to_bytes(network))


def load(path: str | os.PathLike[str]) -> IntegerNetwork:
    """Read an integer network from a file.

    Raises
    ------
    FormatError
        The file is no container of an integer network, or a constraint of SPEC.md is broken.
    OSError
        The file cannot be read.

    """
    return from_bytes(Path(path).read_bytes())


def to_bytes(network: IntegerNetwork) -> bytes:
    """Return an integer network as the bytes of a container.

    What biases are in real numbers is not written: it follows from their integers.

    Raises
    ------
    ModelError
        A name or a shape cannot be written.

    """
    graph = network.graph
    tensors = {
        name: pack_bias(network.biases[name]) if name in network.biases else encodings.pack(graph.params[name])
        for name in parameter_order(graph)
    }
    sizes = {name: len(data) for name, data in tensors.items()}
    header = pack_header(graph, sizes, _quantization_items(network))
    return container.frame(container.INTEGER_VERSION, header, list(tensors.values()))


def pack_bias(integers: NDArray[np.int32]) -> bytes:
    """Write integers in the fewest whole bytes that hold them all, two's complement, little-endian."""
    width = max((int(max(integers.max(initial=0), -1 - integers.min(initial=0))).bit_length() + 8) // 8, 1)
    return integers.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width].tobytes()


def _quantization_items(network: IntegerNetwork) -> list[Any]:
    """Return what the header says of each activation: numbers, the place of an equal one before it, or null."""
    items: list[Any] = []
    places: dict[Quantization, int] = {}
    for place, name in enumerate(_activations(network.graph.inputs, network.graph.nodes)):
        found = network.quantizations.get(name)
        if found is None:
            items.append(None)
        elif found in places:
            items.append(places[found])
        else:
            places[found] = place
            shortest = float(str(np.float32(found.scale)))  # the same float32, in the fewest digits
            items.append([shortest, found.zero_point, *([found.bits] if found.bits != MAX_BITS else [])])
    return items


def _activations(inputs: Any, nodes: tuple[Node, ...]) -> list[str]:
    return [*(spec.name for spec in inputs), *(node.output for node in nodes)]


def from_bytes(data: bytes) -> IntegerNetwork:
    """Read an integer network from the bytes of a container.

    Parameters
    ----------
    data
        Any bytes.

    Raises
    ------
    FormatError
        A constraint of SPEC.md is broken.

    """
    view = memoryview(data)
    header_end = container.check_frame(view, container.INTEGER_VERSION)
    try:
        header = unpack_header(view[container.PREFIX_BYTES : header_end], integer=True)
        quantizations = _read_quantizations(header)
        layers = _layers_of_biases(header)
        params: dict[str, Encoding] = {}
        biases: dict[str, NDArray[np.int32]] = {}
        for entry, section, start in container.sections(view, header, header_end):
            if entry.name in layers:
                biases[entry.name] = _read_bias(entry, section)
            else:
                params[entry.name] = encodings.unpack(section, entry.shape, start)  # C14
        for name, integers in biases.items():
            params[name] = encodings.encode(_real(layers[name], integers, params, quantizations))
        graph = Graph(header.inputs, header.outputs, header.nodes, params)  # C15
        ops.infer_shapes(graph)  # C16
        return IntegerNetwork(graph, quantizations, biases)  # I4
    except (HeaderError, ModelError) as error:
        raise FormatError(str(error), container.PREFIX_BYTES) from None


def _read_quantizations(header: Header) -> dict[str, Quantization]:
    names = _activations(header.inputs, header.nodes)
    if len(header.quantizations) != len(names):  # I1
        raise HeaderError(f"{len(header.quantizations)} quantizations of {len(names)} activations")
    found: dict[str, Quantization] = {}
    for place, (name, item) in enumerate(zip(names, header.quantizations, strict=True)):
        if item is None:
            continue
        if type(item) is int:
            if not (0 <= item < place and names[item] in found):  # I2
                raise HeaderError(
                    f"the quantization of {name!r} is that of activation {item}, which has none before it"
                )
            found[name] = found[names[item]]
            continue
        if not isinstance(item, list) or len(item) not in {2, 3} or any(type(n) is not int for n in item[1:]):  # I2
            raise HeaderError(f"the quantization of {name!r} must be a scale, a zero point, and bits other than 8")
        if type(item[0]) not in {int, float}:  # I2
            raise HeaderError(f"the scale of {name!r} must be a number")
        try:
            found[name] = Quantization(*item)
        except (OptionError, OverflowError) as error:  # I2
            raise HeaderError(f"the quantization of {name!r}: {error}") from None
    return found


def _layers_of_biases(header: Header) -> dict[str, Node]:
    """Return the first layer of each bias."""
    layers: dict[str, Node] = {}
    for node in header.nodes:
        if "bias" in node.params and node.op in {"Conv", "Gemm"}:
            layers.setdefault(node.params["bias"], node)
    return layers


def _read_bias(entry: Entry, section: memoryview) -> NDArray[np.int32]:
    if len(entry.shape) != 1 or entry.size_bytes not in {entry.shape[0] * width for width in BIAS_BYTES}:  # I3
        raise HeaderError(
            f"the bias {entry.name!r} of shape {entry.shape} in {entry.size_bytes} bytes; 1 to 4 for each integer"
        )
    low = np.frombuffer(section, np.uint8).reshape(entry.shape[0], -1)
    full = np.zeros((entry.shape[0], 4), np.uint8)
    full[:, 4 - low.shape[1] :] = low  # at the top, so that the shift carries the sign down
    integers: NDArray[np.int32] = full.view("<i4")[:, 0].astype(np.int32) >> (8 * (4 - low.shape[1]))
    return integers


def _real(
    node: Node, integers: NDArray[np.int32], params: Mapping[str, Encoding], known: Mapping[str, Quantization]
) -> NDArray[np.float32]:
    weight = params.get(node.params.get("weight", ""))
    if weight is None or node.inputs[:1] == () or node.inputs[0] not in known:  # I4
        raise HeaderError(f"node {node.name!r}: a bias without a weight, or of an input without a quantization")
    scales = weight_scales(weight)
    if len(scales) not in {1, len(integers)}:  # I4
        raise HeaderError(f"node {node.name!r}: a bias of {len(integers)} integers and {len(scales)} scales")
    return real_bias(integers, known[node.inputs[0]].scale, scales)
