"""Which names in a legacy Keras file belong to which weight of which layer: by name, never by position alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from refcompress.errors import FormatError, ModelError
from refcompress.formats.hdf5.groups import SAVE_AGAIN

_NUMBER = re.compile(r"_[0-9]+$")
# the variables of a recurrent layer stand below its cell since TensorFlow 2.0
_CELL = re.compile(r"/[^/]*cell(_[0-9]+)?$")
# in Keras 1 a name is layer_role, and recurrent layers may keep each gate apart
_FIRST = re.compile(r"(.+)_(W|U|b|alphas|gamma|beta|running_mean|running_std|depthwise_kernel|pointwise_kernel)")
_FIRST_GATE = re.compile(r"(.+)_([WUb])_([ifcozrh])")
_FIRST_ROLES: Mapping[str, tuple[str, ...]] = {
    "W": ("kernel", "embeddings"),
    "U": ("recurrent_kernel",),
    "b": ("bias",),
    "alphas": ("alpha",),
    "running_mean": ("moving_mean",),
    "running_std": ("moving_variance",),  # in spite of its name
}
_GATES = ("ifco", "zrh")  # the order of Keras 2


class Named(NamedTuple):
    """One weight of a file.

    Attributes
    ----------
    names
        Of its datasets: one, or one for each gate, to be put side by side.
    layer
        The names of the layers it belongs to, as the file has them.
    role
        What it is to its layer.
    first
        Whether its name is one of Keras 1.

    """

    names: tuple[str, ...]
    layer: str
    role: str
    first: bool = False


def index(names: Sequence[str], group: str) -> list[Named]:
    """List what the names of a group's datasets may stand for.

    Examples
    --------
    >>> index(["encoder/c1/kernel:0"], "encoder")
    [Named(names=('encoder/c1/kernel:0',), layer='encoder/c1', role='kernel', first=False)]

    Raises
    ------
    FormatError
        A name is listed twice.

    """
    if len(set(names)) != len(names):
        raise FormatError(f"the group {group!r} lists a weight twice; {SAVE_AGAIN}", 0)
    found: list[Named] = []
    gates: dict[tuple[str, str], dict[str, str]] = {}
    for name in names:
        layer, role = split(name)
        found.append(Named((name,), layer, role))
        if (cell := _CELL.search(layer)) is not None:
            found.append(Named((name,), layer[: cell.start()], role))
        if match := _FIRST.fullmatch(role):
            found += [Named((name,), match[1], new, first=True) for new in _FIRST_ROLES.get(match[2], (match[2],))]
        elif match := _FIRST_GATE.fullmatch(role):
            gates.setdefault((match[1], match[2]), {})[match[3]] = name
    for (layer, role), of_gate in gates.items():
        for order in _GATES:
            if set(of_gate) == set(order):
                new = _FIRST_ROLES[role][0]
                found.append(Named(tuple(of_gate[gate] for gate in order), layer, new, first=True))
    return found


def split(name: str) -> tuple[str, str]:
    """Layer and role of a weight's name.

    Examples
    --------
    >>> split("encoder/c1/kernel:0")
    ('encoder/c1', 'kernel')

    """
    layer, _, role = re.sub(r":[0-9]+$", "", name).rpartition("/")
    return layer, role


def find(named: Sequence[Named], path: Sequence[str], roles: Sequence[str], what: str) -> Named:
    """Find a weight of a layer among those of a group.

    Parameters
    ----------
    named
        From :func:`index`.
    path
        Names from the outermost nested model, which names the group, down to the layer.
    roles
        What Keras calls the weight; several where versions differ.
    what
        For the messages: which weight this is.

    Raises
    ------
    ModelError
        There is no such weight, or several could be meant.

    """
    for found in _candidates(named, path, roles):
        by_name = {one.names: one for one in found}
        if len(by_name) == 1:
            return found[0]
        if by_name:
            raise ModelError(
                f"{what} may be any of {', '.join(repr(names[0]) for names in list(by_name)[:4])}; give the layers of "
                "nested models names of their own, and save again"
            )
    names = list(dict.fromkeys(name for one in named for name in one.names))
    shown = ", ".join(map(repr, names[:8])) or "none"
    raise ModelError(f"{what} is missing; the group {path[0]!r} holds {shown}; {SAVE_AGAIN}")


def _candidates(named: Sequence[Named], path: Sequence[str], roles: Sequence[str]) -> Iterator[list[Named]]:
    """Yield what may be meant, the most telling first.

    A layer outside nested models has a group of its own, in which the role tells. The group of a nested model
    holds the weights of all its layers, under names that may begin with those of the models around, and that
    early versions made unique by a number after the layer's name. The layer inside a wrapper may go by the wrapper's
    name, or by none that the architecture knows, and then only its role is left.
    """
    having = [one for one in named if one.role in roles]
    if len(path) == 1:
        yield having
        yield [one for one in named if _NUMBER.sub("", one.role) in roles]
        return
    inner = _ending(having, path)
    yield from inner
    if not any(inner):
        yield from _ending(having, path[:-1])
        yield having if len({one.names for one in having}) == 1 else []


def _ending(having: Sequence[Named], path: Sequence[str]) -> list[list[Named]]:
    """Group those whose layer's name ends as the path does: whole names first, then ends, then numbered names."""
    tails = ["/".join(path[start:]) for start in range(len(path))]
    last = tails[-1].rpartition("/")[2]
    same = [(one, one.layer) for one in having if one.layer.rpartition("/")[2] == last]
    numbered = [(one, _NUMBER.sub("", one.layer)) for one in having if not same]
    numbered = [(one, layer) for one, layer in numbered if layer.rpartition("/")[2] == last and layer != one.layer]
    groups: list[list[Named]] = []
    for pairs in (same, numbered):
        groups += [[one for one, layer in pairs if layer == tail] for tail in tails]
        groups += [[one for one, layer in pairs if layer.endswith("/" + tail)] for tail in tails]
    return groups
