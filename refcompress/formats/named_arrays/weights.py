"""Arrays by name onto the parameters of a network: from plain HDF5, ``.npz`` and ``.safetensors`` files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress import encodings
from refcompress.errors import ModelError, did_you_mean
from refcompress.formats.named_arrays import keras_layout, torch_layout
from refcompress.formats.named_arrays.files import StoredArray, open_arrays
from refcompress.formats.named_arrays.keras_layout import KINDS, keras_name
from refcompress.formats.named_arrays.torch_layout import Orders, torch_name
from refcompress.graph import Graph, Node, Shape

SHOWN = 8  # names in a message

Use = tuple[Node, str]


@dataclass(frozen=True, slots=True, eq=False)
class Match:
    """What a parameter is read from.

    Attributes
    ----------
    names
        Of the arrays: one, or several that are added.
    use
        The node and the role whose layout they have in PyTorch; None if they have another.
    shapes
        That an array may have otherwise, its numbers standing in the parameter's order; None for the parameter's own.

    """

    names: tuple[str, ...]
    use: Use | None
    shapes: tuple[Shape, ...] | None = None


def load_weights(
    graph: Graph,
    path: str | os.PathLike[str] | Mapping[str, Any],
    *,
    names: Mapping[str, str] | None = None,
) -> Graph:
    """Put the arrays of a file onto the parameters of a network, by name.

    Three kinds of names are understood. A parameter's own name (``"conv1/weight"``): the array has the layout that it
    has here. A name of Keras's, the node's name and a weight (``"conv1/conv1/kernel:0"``, ``"bn/moving_mean:0"``): the
    layout is ours but for depthwise kernels. A name of a PyTorch state dict, the node's name and a suffix
    (``"conv1.weight"``, ``"bn.running_mean"``, ``"lstm.weight_ih_l0"``): the array has PyTorch's layout and is
    transposed:

    - Conv: weight (out, in / group, kh, kw) to (kh, kw, in / group, out), depthwise and one-dimensional ones too;
    - ConvTranspose: weight (in, out / group, kh, kw) to (kh, kw, in, out / group);
    - Gemm: weight (out, in) to (in, out); where its input was flattened from (h, w, c), PyTorch flattened (c, h, w) and
      the columns are reordered;
    - BatchNormalization and the others: weight, bias, running_mean, running_var are scale, bias, mean, var;
    - Gather (an embedding): weight as it is;
    - RNN, LSTM, GRU: weight_ih_l0 and weight_hh_l0, transposed, are weight and recurrent_weight; the gates r, z, n of a
      GRU become z, r, h; the two biases of an LSTM are added, those of a GRU are bias and recurrent_bias. Layer k is
      the node ``"lstm_lk"``, the other direction ``"lstm_l0_reverse"`` or ``"lstm_reverse"``.

    Slashes in the names of nodes stand for dots. ``num_batches_tracked`` and a Keras optimizer's state are skipped.

    Parameters
    ----------
    graph
        The network, for instance one of ``reference_models``.
    path
        A plain HDF5 file (arrays are named by their paths), an ``.npz`` (pickled arrays are refused) or a
        ``.safetensors`` file, of float16, bfloat16, float32 or float64; or a mapping from names to arrays.
    names
        Parameter to the array that it is read from, in the layout that the array's name tells: that of PyTorch for a
        dotted ``"....weight"`` and the like, otherwise that of the parameter. Parameters that it leaves out are looked
        for by name; arrays that nobody wants are then ignored.

    Returns
    -------
    Graph
        With all parameters replaced, dense and float32.

    Raises
    ------
    ModelError
        A parameter has no array, or several that could be meant; an array has no parameter, another shape, or numbers
        that float32 cannot hold; or PyTorch has no such layout. The message names them.
    FormatError
        The file is malformed, or of another kind.
    OptionError
        The file cannot be read.

    Examples
    --------
    >>> from refcompress.graph import TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "fc/weight"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (3,)),), ("y",), (node,), {"fc/weight": encodings.encode(np.zeros((3, 1)))})
    >>> loaded = load_weights(graph, {"fc.weight": np.array([[1.0, 2.0, 3.0]])})
    >>> encodings.decode(loaded.params["fc/weight"]).shape
    (3, 1)

    """
    with open_arrays(path) as arrays:
        matches = _matches(graph, list(arrays), names)
        orders = torch_layout.feature_orders(graph)
        values = {name: _value(graph, name, match, arrays, orders) for name, match in matches.items()}
    return graph.with_params({name: encodings.encode(value) for name, value in values.items()})


def _matches(graph: Graph, arrays: Sequence[str], names: Mapping[str, str] | None) -> dict[str, Match]:
    """Find the arrays of every parameter; all troubles are told at once."""
    uses: dict[str, list[Use]] = {name: [] for name in graph.params}
    for node, role, name in graph.weights():
        uses[name].append((node, role))
    known = set(arrays)
    given = {name: _given(name, array, uses, known) for name, array in (names or {}).items()}
    by_keras: dict[tuple[str, str], list[str]] = {}
    for array in arrays:
        if (named := keras_name(array)) is not None:
            by_keras.setdefault(named, []).append(array)
    by_torch = {(parts.module, parts.kind): name for name in arrays if (parts := torch_name(name)) is not None}
    found = {
        name: _by_name(name, uses[name], known, by_torch) + _by_keras(graph.params[name].shape, uses[name], by_keras)
        for name in uses
        if name not in given
    }
    troubles = [
        f"the parameter {name!r} may be any of {_listed([' + '.join(match.names) for match in several])}"
        for name, several in found.items()
        if len(several) > 1
    ]
    if missing := [name for name, several in found.items() if not several]:
        troubles.append(f"no array for the parameters {_listed(missing)}")
    chosen = {**given, **{name: several[0] for name, several in found.items() if several}}
    troubles.extend(_doubly_used(chosen, given))
    used = {array for several in [*found.values(), given.values()] for match in several for array in match.names}
    if names is None and (left := [name for name in arrays if name not in used and not _is_skipped(name)]):
        troubles.append(f"no parameter for the arrays {_listed(left)}")
    if troubles:
        raise ModelError("; ".join(troubles) + "; say which with names={parameter: array}")
    return chosen


def _by_name(name: str, uses: Sequence[Use], arrays: set[str], by_torch: Mapping[tuple[str, str], str]) -> list[Match]:
    """Return all that a parameter could be read from."""
    own = torch_name(name)
    found: dict[tuple[str, ...], Match] = {}
    if own is None and name in arrays:
        found[(name,)] = Match((name,), None)
    for node, role in uses:
        modules = torch_layout.module_names(node.name)
        for module in modules if own is None else (*modules, own.module):
            wanted = [by_torch.get((module, kind)) for kind in torch_layout.kinds(node, role)]
            present = tuple(array for array in wanted if array is not None)
            if present and len(present) == len(wanted):
                found.setdefault(present, Match(present, (node, role)))
    return list(found.values())


def _by_keras(shape: Shape, uses: Sequence[Use], by_keras: Mapping[tuple[str, str], Sequence[str]]) -> list[Match]:
    """Return all arrays that Keras would have named after a parameter."""
    found: dict[str, Match] = {}
    for node, role in uses:
        for kind in KINDS.get(role, ()):
            for array in by_keras.get((node.name.rpartition("/")[2], kind), ()):
                found.setdefault(array, Match((array,), None, keras_layout.shapes(node, role, shape)))
    return list(found.values())


def _given(name: str, array: str, uses: Mapping[str, Sequence[Use]], arrays: set[str]) -> Match:
    """Take one entry of ``names``."""
    if name not in uses:
        raise ModelError(f"names: the network has no parameter {name!r}{did_you_mean(name, uses)}")
    if array not in arrays:
        raise ModelError(f"names: there is no array {array!r} for the parameter {name!r}{did_you_mean(array, arrays)}")
    torch = torch_name(array)
    if torch is None:
        return Match((array,), None)
    for node, role in uses[name]:
        wanted = torch_layout.kinds(node, role)
        if torch.kind == wanted[0]:
            module, _, last = array.rpartition(".")
            parts = tuple(f"{module}.{last.replace(wanted[0], kind)}" for kind in wanted)
            if set(parts) <= arrays:
                return Match(parts, (node, role))
    roles = ", ".join(f"{role} of {node.name!r} ({node.op})" for node, role in uses[name]) or "used by no node"
    raise ModelError(f"names: the array {array!r} is no {name!r}, {roles}, in PyTorch's layout; rename the array")


def _doubly_used(chosen: Mapping[str, Match], given: Mapping[str, Match]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for name, match in chosen.items():
        for array in match.names:
            owner = owners.setdefault(array, name)
            if owner != name and not {owner, name} <= given.keys():
                yield f"the array {array!r} may be the parameter {owner!r} or {name!r}"


def _is_skipped(name: str) -> bool:
    found = torch_name(name)
    return name.startswith("optimizer_weights/") or (found is not None and found.kind == "num_batches_tracked")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name[:120]) for name in names[:SHOWN]) + more


def _value(
    graph: Graph, name: str, match: Match, arrays: Mapping[str, StoredArray], orders: Orders
) -> NDArray[np.float32]:
    """Read one parameter and bring it into our layout."""
    shape = graph.params[name].shape
    allowed = match.shapes or (shape,)
    if match.use is not None:
        stored = torch_layout.layout(*match.use, shape, orders)
        allowed = stored.shapes
    for array in match.names:
        if (found := arrays[array].shape) not in allowed:
            whose = "PyTorch's" if match.use is not None else "Keras's" if match.shapes is not None else "its own"
            raise ModelError(
                f"the array {array!r} has the shape {found}; the parameter {name!r} of shape {shape} takes "
                f"{' or '.join(map(str, allowed))} in {whose} layout"
            )
    values = [arrays[array].read(f"the array {array!r}") for array in match.names]
    total = values[0] if len(values) == 1 else np.add(*values)
    return total.reshape(shape) if match.use is None else np.ascontiguousarray(stored.convert(total))
