"""Importing ONNX models: one file, floating point, no control flow."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from refcompress.errors import FormatError, MissingToolError, ModelError, OptionError
from refcompress.formats.onnx import nodes
from refcompress.formats.onnx.imported import Imported, Layout
from refcompress.formats.onnx.inputs import Input
from refcompress.formats.onnx.inputs import input_shapes as declared_shapes
from refcompress.formats.onnx.layout import Atom, Group, Tensor, flat, fresh, leaves, size
from refcompress.formats.onnx.network import BATCHES, Constant, Network, cleaned
from refcompress.formats.onnx.proto import shown, tensor_array
from refcompress.graph import Graph

MAX_BYTES = 2**31 - 1  # protobuf's own limit
OPSETS = (7, 28)  # broadcasting as in NumPy came with 7; later than 28, operators may mean something else

# tags of the fields that may follow the version in a ModelProto
_TAGS = b"\x12\x1a\x22\x28\x32\x3a\x42\x72"


def looks_like(start: bytes) -> bool:
    r"""Whether a file that begins with these bytes may be an ONNX model.

    Examples
    --------
    >>> looks_like(b"\x08\x08\x12\x07pytorch"), looks_like(b"\x89HDF\r\n\x1a\n")
    (True, False)

    """
    # field 1, the version of the format, then a field with a higher number
    return len(start) > 2 and start[0] == 0x08 and 1 <= start[1] <= 64 and start[2] in _TAGS


def load(
    path: str | os.PathLike[str], *, input_shapes: Mapping[str, Sequence[int]] | None = None, batched: bool = True
) -> Graph:
    """Import an ONNX model.

    The graph takes and returns arrays in the model's own order of axes (channels first as a rule), so that they can be
    held against any other runtime's; transpositions at both ends lead to our order. The first axis of every input is
    the batch, whatever size the file gives it (axis 1 of what a recurrent layer reads directly with the time first, or
    an axis named ``batch...``: then arrays have the batch moved to the front). A model that fixes it to 1 is applied to
    each sample by itself. Nodes are named after the model's, or after the tensor they make, activations after the
    tensors.

    Parameters
    ----------
    path
        The file.
    input_shapes
        Shapes without the batch, by name, of inputs whose sizes are not all in the file.
    batched
        Whether the first axis is the batch. If not, all arrays of the model are one sample, and those of the graph
        have a batch axis before them.

    Returns
    -------
    Graph
        The network; weights as dense float32.

    Raises
    ------
    FormatError
        The bytes are no ONNX model, or damaged.
    ModelError
        The model cannot be represented; the message names the node and says what to do.
    OptionError
        There is no such file, or the shapes given do not fit.
    MissingToolError
        The library onnx is not installed.

    """
    return read(path, input_shapes=input_shapes, batched=batched).graph


def read(
    path: str | os.PathLike[str], *, input_shapes: Mapping[str, Sequence[int]] | None = None, batched: bool = True
) -> Imported:
    """Import an ONNX model, and say which activation holds which of its tensors. See :func:`load`."""
    proto = _parsed(path)
    _check_model(proto)
    graph = proto.graph
    constants = _initializers(graph)
    given = [value for value in graph.input if value.name not in constants]
    uses = Counter(name for node in graph.node for name in node.input)
    uses.update(value.name for value in graph.output)
    shapes = declared_shapes(graph, given, input_shapes or {}, batched=batched)
    network, inputs = _network(_opset(proto), uses, given, shapes)
    network.values |= constants
    for node in graph.node:
        nodes.add_node(network, node)
    return _finished(network, inputs, [value.name for value in graph.output])


def _parsed(path: str | os.PathLike[str]) -> Any:
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError:
        raise MissingToolError("ONNX models are read with the library onnx: pip install 'refcompress[onnx]'") from None
    try:
        with Path(path).open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_BYTES:
                raise FormatError(f"{path} is larger than {MAX_BYTES} bytes, which ONNX's format allows in one file", 0)
            data = file.read()
    except OSError as error:
        raise OptionError(f"{path} cannot be read: {error.strerror}; give the path of a model file") from error
    try:
        return onnx.load_model_from_string(data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise FormatError(f"{path} is no ONNX model, or damaged: {str(error)[:200]}", 0) from error


def _check_model(proto: Any) -> None:
    if not proto.HasField("graph") or not proto.graph.node:
        raise FormatError("an ONNX model without a graph or without nodes", 0)
    if not all(isinstance(text, str) for text in _texts(proto.graph)):
        raise FormatError("an ONNX model with names that are no UTF-8 text", 0)
    if proto.graph.sparse_initializer:
        raise ModelError("it has sparse initializers; save it with dense ones")
    if not proto.graph.output or len(proto.graph.output) > 1000 or len(proto.graph.input) > 1_000_000:
        raise ModelError(f"it has {len(proto.graph.output)} outputs; allowed are 1 to 1000")


def _texts(graph: Any) -> Iterator[Any]:
    """Yield all names; the parser hands over bytes where they are no text."""
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (attribute.name for attribute in node.attribute)
    yield from (tensor.name for tensor in graph.initializer)
    for value in (*graph.input, *graph.output):
        yield value.name
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)


def _opset(proto: Any) -> int:
    versions = [entry.version for entry in proto.opset_import if entry.domain in nodes.DOMAINS]
    least, most = OPSETS
    if len(versions) != 1 or not least <= versions[0] <= most:
        raise ModelError(
            f"its operators are of version {versions}; supported are {least} to {most}: convert it with "
            "onnx.version_converter.convert_version(model, 21)"
        )
    return int(versions[0])


def _initializers(graph: Any) -> dict[str, Constant]:
    constants: dict[str, Constant] = {}
    for tensor in graph.initializer:
        if tensor.name in constants or not tensor.name:
            raise ModelError(f"two initializers are named {shown(tensor.name)}, or one has no name")
        constants[tensor.name] = Constant(
            tensor_array(tensor, f"the initializer {shown(tensor.name)}"), name=tensor.name
        )
    return constants


def _network(
    opset: int, uses: Counter[str], given: Sequence[Any], shapes: Mapping[str, Input]
) -> tuple[Network, list[tuple[str, int]]]:
    if not given:
        raise ModelError("the network has no input, so that it computes a constant")
    samples = {spec.shape[spec.batch] if spec.batch >= 0 else 1 for spec in shapes.values()} - {None}
    if len(samples) > 1:
        raise ModelError(
            f"its inputs have batches (first axes) of {sorted(map(str, samples))} samples; they must agree: inputs "
            "that are weights must be initializers"
        )
    fixed = next(iter(samples), None)
    batches = BATCHES if fixed is None else (fixed,)
    batch = Atom(batches[0])
    network = Network(batch, () if fixed == 1 else (batch,), batches, opset, uses)
    inputs = []
    for value in given:
        spec = shapes[value.name]
        axes = [network.samples if axis == spec.batch else fresh(length or 1) for axis, length in enumerate(spec.shape)]
        network.values[value.name] = network.add_input(value.name, tuple(axes), spec.batch, spec.kind)
        inputs.append((value.name, spec.batch))
    return network, inputs


def _finished(network: Network, inputs: list[tuple[str, int]], outputs: Sequence[str]) -> Imported:
    names, places = [], []
    for output in outputs:
        value = network.values.get(output)
        if not isinstance(value, Tensor):
            state = "is a constant" if value is not None else "is made by no node"
            raise ModelError(f"the output {shown(output)} {state}; it must be computed from the inputs")
        axes = [leaves(group) for group in value.axes]
        place = _batch_place(network, axes, whole=any(batch < 0 for _, batch in inputs))
        if place is None:
            raise ModelError(f"the output {shown(output)} has the batch axis merged with another; split them")
        rest = [group for axis, group in enumerate(axes) if axis != place]
        names.append(network.arrange(value, [(network.batch,), *rest]))
        places.append((output, place))
    renamed = _output_names(network, outputs, names)
    network.rename(renamed)
    graph = network.graph([renamed.get(name, name) for name in names])
    there = {spec.name for spec in graph.inputs} | {node.output for node in graph.nodes}
    layouts = {}
    for name, value in network.values.items():
        if isinstance(value, Tensor):
            layout = _layout(network, value, renamed)
            if layout.activation in there:
                layouts[name] = layout
    return Imported(graph, tuple(inputs), tuple(places), MappingProxyType(layouts))


def _batch_place(network: Network, axes: Sequence[Group], *, whole: bool) -> int | None:
    """Return which axis of an output is the batch, -1 if all of it is one sample, None if it is a part of an axis."""
    if network.samples:
        return axes.index(network.samples) if network.samples in axes else None
    return 0 if axes and not axes[0] and not whole else -1


def _output_names(network: Network, outputs: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Call what the network returns as ONNX does; what had that name before gives it up."""
    changed: dict[str, str] = {}
    given = {spec.name for spec in network.inputs}
    for output, name in zip(map(cleaned, outputs), names, strict=True):
        if name == output or name in given or name in changed or output in given:
            continue
        if output in changed.values():
            continue
        if output in network.shapes and output not in changed:
            changed[output] = network.unique(f"{output}/stored")
        changed[name] = output
    return changed


def _layout(network: Network, value: Tensor, renamed: Mapping[str, str]) -> Layout:
    form = value.forms[0]
    order, groups = flat(value.axes), [leaves(group) for group in form.groups]
    if not network.samples:
        order = (network.batch, *order)

    def length(group: Group) -> int:
        return -1 if network.batch in group else size(group)

    place = {leaf: i for i, leaf in enumerate(order)}
    return Layout(
        renamed.get(form.name, form.name),
        tuple(length((leaf,)) for leaf in order),
        tuple(place[leaf] for leaf in flat(groups)),
        tuple(map(length, groups)),
    )
