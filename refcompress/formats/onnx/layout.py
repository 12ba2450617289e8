"""In which order our activations hold the axes of ONNX tensors.

ONNX counts channels first, we count them last, and exported networks are full of reshapes and transpositions. So
axes are taken apart into atoms: an ONNX axis is a group of atoms (``batch * heads`` has two, an axis of length 1
none), and so is an axis of the activations that hold it. ONNX's Transpose, Squeeze, Flatten and most of its reshapes
then only regroup atoms and need no node; nodes come into being where an operator asks for an order that no activation
has yet.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace


@dataclass(slots=True, eq=False)
class Atom:
    """A piece of an axis; two atoms are the same only if they are one object.

    Attributes
    ----------
    size
        How long it is: at least 2.
    parts
        Atoms into which it was split later, the last one running fastest; empty if it is whole.

    """

    size: int
    parts: tuple[Atom, ...] = ()


Group = tuple[Atom, ...]  # one axis, the last atom running fastest; empty if its length is 1
Groups = tuple[Group, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """An activation that holds a tensor.

    Attributes
    ----------
    name
        The activation.
    groups
        The atoms of each of its axes; the first is the batch and nothing else.

    """

    name: str
    groups: Groups


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of the ONNX network that is computed.

    Attributes
    ----------
    axes
        The atoms of each of its axes, in ONNX's order.
    forms
        The activations that hold it: at least one, the one its operator made first. Shared by all tensors that
        differ by their grouping of axes only, and added to.
    kind
        ``"f"`` for floating point, ``"i"`` for integers, ``"b"`` for truth values; activations are floating point
        whatever it is.

    """

    axes: Groups
    forms: list[Form] = field(default_factory=list)
    kind: str = "f"

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in ONNX's order, the batch included."""
        return tuple(map(size, self.axes))

    @property
    def groups(self) -> Groups:
        """Axes of its first activation, as they are split by now."""
        return tuple(map(leaves, self.forms[0].groups))

    def regrouped(self, axes: Iterable[Group]) -> Tensor:
        """Return the same elements under other axes."""
        return replace(self, axes=tuple(axes))


def leaves(group: Group) -> Group:
    """Return the atoms of an axis, those that were split replaced by their parts.

    Examples
    --------
    >>> atom = Atom(6)
    >>> split((atom,), (2, 3)) is not None
    True
    >>> [part.size for part in leaves((atom,))]
    [2, 3]

    """
    if not any(atom.parts for atom in group):
        return group
    return tuple(leaf for atom in group for leaf in (leaves(atom.parts) if atom.parts else (atom,)))


def flat(groups: Iterable[Group]) -> Group:
    """Return the atoms of several axes, one axis after the other."""
    return tuple(leaf for group in groups for leaf in leaves(group))


def size(group: Group) -> int:
    """Return the length of an axis."""
    return math.prod(atom.size for atom in group)


def fresh(length: int) -> Group:
    """Return an axis of its own.

    Examples
    --------
    >>> fresh(1), len(fresh(2))
    ((), 1)

    """
    return () if length == 1 else (Atom(length),)


def copied(group: Group, batch: Atom) -> Group:
    """Return an axis like another one, of new atoms; the batch stays what it is."""
    return tuple(leaf if leaf is batch else Atom(leaf.size) for leaf in leaves(group))


def split(group: Group, sizes: Sequence[int], batch: Atom | None = None) -> Groups | None:
    """Cut an axis into several, splitting atoms where needed.

    Parameters
    ----------
    group
        The atoms to cut.
    sizes
        Lengths of the axes wanted.
    batch
        The batch axis, which is never split.

    Returns
    -------
    tuple of groups, or None
        None where the lengths do not divide.

    Examples
    --------
    >>> [size(part) for part in split((Atom(4), Atom(6)), (8, 3))]
    [8, 3]
    >>> split((Atom(4), Atom(3)), (3, 4)) is None
    True

    """
    left = list(reversed(leaves(group)))
    groups: list[Group] = []
    for length in sizes:
        taken: list[Atom] = []
        open_length = length
        while open_length > 1:
            if not left:
                return None
            atom = left.pop()
            if open_length % atom.size:
                if atom is batch or atom.size % open_length:
                    return None
                atom.parts = (Atom(open_length), Atom(atom.size // open_length))
                left.append(atom.parts[1])
                atom = atom.parts[0]
            taken.append(atom)
            open_length //= atom.size
        groups.append(tuple(taken))
    return None if left else tuple(groups)


def refine(a: Group, b: Group, batch: Atom) -> bool:
    """Split the atoms of two axes of one length until both have atoms of the same lengths.

    Returns
    -------
    bool
        Whether that is possible, the batch standing in the same place of both or in neither.

    Examples
    --------
    >>> a, b = (Atom(2), Atom(6)), (Atom(4), Atom(3))
    >>> refine(a, b, Atom(9)), [atom.size for atom in leaves(a)], [atom.size for atom in leaves(b)]
    (True, [2, 2, 3], [2, 2, 3])

    """
    first, second = list(reversed(leaves(a))), list(reversed(leaves(b)))
    while first and second:
        one, other = first.pop(), second.pop()
        if one is batch or other is batch:
            if one is not other:
                return False
            continue
        if one.size == other.size:
            continue
        small, large, rest = (one, other, second) if one.size < other.size else (other, one, first)
        if large.size % small.size:
            return False
        large.parts = (Atom(small.size), Atom(large.size // small.size))
        rest.append(large.parts[1])
    return not first and not second


def batch_first(axes: Iterable[Group], batch: Atom) -> list[Group]:
    """Return axes in ONNX's order, the batch moved to the front as an axis of its own."""
    groups = [leaves(group) for group in axes]
    rest = (tuple(a for a in group if a is not batch) for group in groups if group != (batch,))
    return [(batch,), *rest]


def together(groups: Groups, needed: Group, *, last: bool) -> list[Group]:
    """Return an order of axes in which some atoms are one axis, changing as little as possible.

    Parameters
    ----------
    groups
        Axes as an activation holds them, the batch first.
    needed
        The atoms that must be one axis, in their order.
    last
        Whether it must be the last axis; otherwise it stands where its first atom stood.

    Examples
    --------
    >>> batch, height, channels = Atom(1), Atom(5), Atom(3)
    >>> [size(axis) for axis in together(((batch,), (height, channels)), (height,), last=True)]
    [1, 3, 5]

    """
    if needed in groups and needed and (not last or groups[-1] == needed):
        return list(groups)
    wanted, result = set(needed), []
    placed = last
    for group in groups:
        if wanted.isdisjoint(group):
            result.append(group)
            continue
        if not placed:
            result.append(needed)
            placed = True
        result.extend((leaf,) for leaf in group if leaf not in wanted)
    if last and (needed or not result or result[-1] != ()):
        result.append(needed)
    return result


def with_axis(tensor: Tensor, axis: int) -> tuple[list[Group], int]:
    """Return an order of axes in which one ONNX axis is an axis of its own, and where it stands there."""
    needed = leaves(tensor.axes[axis])
    if needed:
        order = together(tensor.groups, needed, last=False)
        return order, order.index(needed)
    later = set(flat(tensor.axes[axis + 1 :]))
    order = list(tensor.groups)
    place = next((i for i, group in enumerate(order) if i and not later.isdisjoint(group)), len(order))
    return [*order[:place], (), *order[place:]], place
