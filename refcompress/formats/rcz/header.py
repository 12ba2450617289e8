"""The header of an ``.rcz`` container: a graph without its weights as terse JSON, deflated (see SPEC.md).

C5, C6, ... are the constraints of SPEC.md.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from refcompress.errors import ModelError
from refcompress.formats.rcz.layout import (
    DEFAULTS,
    DICTIONARY,
    MAX_HEADER_BYTES,
    MAX_INT_DIGITS,
    Entry,
    Header,
    HeaderError,
    as_list,
    check_name,
    check_shape,
)
from refcompress.graph import Graph, Node, Shape, TensorSpec
from refcompress.ops import OPS, attrs_to_dict, make_attrs


def parameter_order(graph: Graph) -> list[str]:
    """Names of the parameters in the order of their tensors: as the nodes use them first, then those unused.

    Examples
    --------
    >>> parameter_order(Graph((), (), (), {}))
    []

    """
    used = dict.fromkeys(name for node in graph.nodes for name in _in_role_order(node).values())
    return [*used, *(name for name in graph.params if name not in used)]


def pack_header(graph: Graph, sizes_bytes: Mapping[str, int], quantizations: Sequence[Any] | None = None) -> bytes:
    """Write the header of a graph whose packed tensors have these sizes.

    Parameters
    ----------
    graph
        The network.
    sizes_bytes
        Name of a parameter to the bytes of its tensor.
    quantizations
        Of its activations, as an integer network has them.

    Raises
    ------
    ModelError
        A name or a shape cannot be written, or there is too much of everything.

    """
    text = header_text(graph, sizes_bytes, quantizations).encode()
    if len(text) > MAX_HEADER_BYTES:
        raise ModelError(
            f"a description of {len(text)} bytes; a container takes {MAX_HEADER_BYTES}: shorten the names of the nodes"
        )
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    return deflate.compress(text) + deflate.flush()


def header_text(graph: Graph, sizes_bytes: Mapping[str, int], quantizations: Sequence[Any] | None = None) -> str:
    """Return the JSON of a header.

    Examples
    --------
    >>> node = Node("Relu", "act", ("x",), "act", attrs=make_attrs("Relu", {}))
    >>> header_text(Graph((TensorSpec("x", (4,)),), ("act",), (node,), {}), {})
    '[[["x",4]],[["Relu","act"]],[]]'

    """
    order = parameter_order(graph)
    index = {name: i for i, name in enumerate(order)}
    owners: dict[str, tuple[str, str]] = {}
    nodes, fresh, before = [], 0, _first_input(graph.inputs)
    for node in graph.nodes:
        options, fresh = _node_options(node, before, index, fresh)
        nodes.append([node.op, _writable_name(node.name), *([options] if options else [])])
        for role, name in _in_role_order(node).items():
            owners.setdefault(name, (node.name, role))
        before = node.output
    document: list[Any] = [
        [[_writable_name(spec.name), *_writable_shape(spec.shape)] for spec in graph.inputs],
        nodes,
        [_entry_item(name, graph.params[name].shape, sizes_bytes[name], owners.get(name)) for name in order],
    ]
    if quantizations is not None or list(graph.outputs) != ([before] if nodes else []):
        document.append([_writable_name(name) for name in graph.outputs])
    if quantizations is not None:
        document.append(list(quantizations))
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _first_input(inputs: Sequence[TensorSpec]) -> str | None:
    return inputs[0].name if inputs else None


def _in_role_order(node: Node) -> dict[str, str]:
    return {role: node.params[role] for role in OPS[node.op].roles if role in node.params}


def _node_options(node: Node, before: str | None, index: Mapping[str, int], fresh: int) -> tuple[dict[str, Any], int]:
    """Return what is not as expected of a node, and the next parameter that no node has used."""
    defaults = DEFAULTS.get(node.op, {})
    attrs = attrs_to_dict(node.attrs).items()
    options = {key: value for key, value in sorted(attrs) if key not in defaults or not _same(defaults[key], value)}
    if list(node.inputs) != [before]:
        options["i"] = [_writable_name(name) for name in node.inputs]
    if node.output != node.name:
        options["o"] = _writable_name(node.output)
    uses = {role: index[name] for role, name in _in_role_order(node).items()}
    roles = OPS[node.op].roles
    if uses != {role: fresh + i for i, role in enumerate(roles)}:
        options["p"] = uses
    return options, max([fresh, *(i + 1 for i in uses.values())])


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b) and repr(a) == repr(b)  # 0.0 and -0.0 are equal, but not the same


def _entry_item(name: str, shape: Shape, size_bytes: int, owner: tuple[str, str] | None) -> list[Any]:
    numbers = [*_writable_shape(shape), size_bytes]
    if owner is not None:
        node, role = owner
        if name == f"{node}/{role}":
            return numbers
        if name.startswith(f"{node}/"):
            return [_writable_name(name)[len(node) :], *numbers]
    return [f"={name}" if _writable_name(name)[0] in "/=" else name, *numbers]


def _writable_name(name: str) -> str:
    try:
        check_name(name)
    except HeaderError as error:
        raise ModelError(f"{error}; rename it") from None
    return name


def _writable_shape(shape: Shape) -> Shape:
    try:
        check_shape(list(shape), "a shape")
    except HeaderError as error:
        raise ModelError(f"{error}; a container cannot hold it") from None
    return shape


def unpack_header(data: bytes | memoryview, *, integer: bool = False) -> Header:
    """Read a header from exactly its bytes.

    Parameters
    ----------
    data
        The bytes.
    integer
        Whether it is that of an integer network.

    Raises
    ------
    HeaderError
        A constraint is broken.
    ModelError
        An operator or an attribute is not allowed.

    """
    inflate = zlib.decompressobj(-15, DICTIONARY)
    try:
        text = inflate.decompress(data, MAX_HEADER_BYTES + 1)
    except zlib.error as error:  # C5
        raise HeaderError(f"the header cannot be inflated: {error}") from None
    if len(text) > MAX_HEADER_BYTES:  # C5
        raise HeaderError(f"the header inflates to more than {MAX_HEADER_BYTES} bytes")
    if not inflate.eof or inflate.unused_data:  # C5
        raise HeaderError("the deflated header does not end where its section does")
    return _read_document(_parse_json(text), (5,) if integer else (3, 4))


def _parse_json(text: bytes) -> Any:
    try:
        return json.loads(
            text.decode(),
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:  # C6
        raise HeaderError(f"the header is no JSON of the allowed kind: {error}") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):  # C6
        raise HeaderError("an object of the header has a key twice")
    return keys


def _integer(digits: str) -> int:
    if len(digits) > MAX_INT_DIGITS:  # C6
        raise HeaderError(f"an integer of {len(digits)} characters; allowed are up to {MAX_INT_DIGITS}")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):  # C6
        raise HeaderError("a number that a float64 cannot hold")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise HeaderError(f"{name} is no number that JSON knows")  # C6


def _read_document(document: Any, allowed: tuple[int, ...]) -> Header:
    parts = as_list(document, "the header")
    if len(parts) not in allowed:  # C7, I1
        raise HeaderError(
            f"a header of {len(parts)} items; allowed are inputs, nodes, parameters and outputs, and of an integer "
            "network quantizations"
        )
    inputs = tuple(_read_input(item) for item in as_list(parts[0], "the inputs"))
    items = as_list(parts[2], "the parameters")
    nodes: list[Node] = []
    owners: dict[int, tuple[str, str]] = {}  # parameter -> first node and role that use it
    uses: list[Mapping[str, int]] = []
    before = _first_input(inputs)
    for item in as_list(parts[1], "the nodes"):
        node, used = _read_node(item, before, len(owners))
        for role, i in used.items():
            if i > len(owners) or i >= len(items):  # C11
                raise HeaderError(f"node {node.name!r}: its {role} is parameter {i}, out of order or not there")
            owners.setdefault(i, (node.name, role))
        nodes.append(node)
        uses.append(used)
        before = node.output
    entries = tuple(_read_entry(item, owners.get(i)) for i, item in enumerate(items))
    outputs: tuple[str, ...] = (before,) if nodes and before is not None else ()
    if len(parts) > 3:
        outputs = tuple(check_name(name) for name in as_list(parts[3], "the outputs"))
    named = tuple(_with_params(node, used, entries) for node, used in zip(nodes, uses, strict=True))
    quantizations = tuple(as_list(parts[4], "the quantizations")) if len(parts) == 5 else ()
    return Header(inputs, outputs, named, entries, quantizations)


def _with_params(node: Node, used: Mapping[str, int], entries: Sequence[Entry]) -> Node:
    names = {role: entries[i].name for role, i in used.items()}
    return Node(node.op, node.name, node.inputs, node.output, names, node.attrs)


def _read_input(item: Any) -> TensorSpec:
    name, *shape = as_list(item, "an input") or [None]
    return TensorSpec(check_name(name), check_shape(shape, f"the input {name!r}"))


def _read_node(item: Any, before: str | None, fresh: int) -> tuple[Node, dict[str, int]]:
    """Return a node without its parameters, and which of them by number it uses in which role."""
    parts = as_list(item, "a node")
    if len(parts) not in {2, 3}:  # C10
        raise HeaderError(f"a node of {len(parts)} items; allowed are operator, name and options")
    name = check_name(parts[1])
    options = parts[2] if len(parts) == 3 else {}
    if not isinstance(parts[0], str) or parts[0] not in OPS or not isinstance(options, dict):  # C10
        raise HeaderError(f"node {name!r}: an operator of {', '.join(OPS)} is wanted, and an object of options")
    op = OPS[parts[0]]
    if "i" not in options and before is None:  # C10
        raise HeaderError(f"node {name!r}: no activation to read")
    given = as_list(options.pop("i", [before]), f"node {name!r}: the inputs")
    output = check_name(options.pop("o", name))
    used = options.pop("p", {role: fresh + i for i, role in enumerate(op.roles)})
    _check_uses(used, op.roles, name)
    attrs = make_attrs(op.name, {**DEFAULTS.get(op.name, {}), **options})  # C10
    return Node(op.name, name, tuple(check_name(text) for text in given), output, {}, attrs), used


def _check_uses(used: Any, roles: Sequence[str], node: str) -> None:
    if not isinstance(used, dict) or any(role not in roles for role in used):  # C11
        raise HeaderError(f"node {node!r}: parameters by role are wanted; its roles are {', '.join(roles) or 'none'}")
    for role, i in used.items():
        if type(i) is not int or i < 0:  # C11
            raise HeaderError(f"node {node!r}: its {role} must be the number of a parameter")


def _read_entry(item: Any, owner: tuple[str, str] | None) -> Entry:
    numbers = as_list(item, "a parameter")
    name: Any = None
    if numbers and isinstance(numbers[0], str):
        name, *numbers = numbers
    if name is None:
        name = None if owner is None else f"{owner[0]}/{owner[1]}"
    elif name.startswith("="):
        name = name[1:]
    elif name.startswith("/"):
        name = None if owner is None else f"{owner[0]}{name}"
    if name is None or not numbers:  # C12
        raise HeaderError("a parameter that no node uses must be named, and each has a size")
    check_name(name)
    *shape, size_bytes = numbers
    if type(size_bytes) is not int or size_bytes < 0:  # C13
        raise HeaderError(f"the parameter {name!r}: its size must be a count of bytes")
    return Entry(name, check_shape(shape, f"the parameter {name!r}"), size_bytes)
