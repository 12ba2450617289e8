"""Which weights a pass works on, and with which options: rules by glob or regular expression, first match wins."""

from __future__ import annotations

import fnmatch
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from refcompress.encodings import Encoding
from refcompress.errors import OptionError, did_you_mean
from refcompress.graph import Graph, Node

_REGEX = "re:"
_LISTED = 20  # names in a message


@dataclass(frozen=True, slots=True)
class LayerRule:
    """Options for the layers of a name.

    Attributes
    ----------
    match
        A glob (``"conv*"``), or a regular expression after ``re:`` (``"re:conv[0-9]+"``) that must match the whole
        name. It is held against the name of the parameter and of every node that uses it; case counts.
    options
        Options of the pass that differ for these layers. Every pass takes ``{"skip": True}``: leave them alone.

    Raises
    ------
    OptionError
        The regular expression does not compile.

    Examples
    --------
    >>> LayerRule("re:conv[0-9]+", {"bits": 8}).matches("conv12")
    True
    >>> LayerRule("conv", {"bits": 8}).matches("conv12")
    False

    """

    match: str
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))
        if self.match.startswith(_REGEX):
            try:
                re.compile(self.match[len(_REGEX) :])
            except re.error as error:
                raise OptionError(f"the rule {self.match!r} is not a regular expression: {error}") from None

    def matches(self, name: str) -> bool:
        """Whether the rule is for this name."""
        if self.match.startswith(_REGEX):
            return re.fullmatch(self.match[len(_REGEX) :], name) is not None
        return fnmatch.fnmatchcase(name, self.match)


@dataclass(frozen=True, slots=True, eq=False)
class Weight:
    """One parameter that a pass may rewrite.

    Attributes
    ----------
    name
        Name of the parameter.
    encoding
        Its present encoding.
    nodes
        The nodes that use it, at least one.

    """

    name: str
    encoding: Encoding
    nodes: tuple[Node, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names that rules are held against."""
        return (*(node.name for node in self.nodes), self.name)


def weights_of(
    graph: Graph, ops: Sequence[str] = ("Conv", "Gemm"), roles: Sequence[str] = ("weight",)
) -> tuple[Weight, ...]:
    """Return the parameters in these roles of these operators, a shared one once, in the order of the nodes.

    Examples
    --------
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import TensorSpec
    >>> nodes = (Node("Gemm", "a", ("x",), "y", {"weight": "w"}), Node("Gemm", "b", ("y",), "z", {"weight": "w"}))
    >>> graph = Graph((TensorSpec("x", (1,)),), ("z",), nodes, {"w": encode([[2.0]])})
    >>> [weight.names for weight in weights_of(graph)]
    [('a', 'b', 'w')]

    """
    users: dict[str, list[Node]] = {}
    for node, role, name in graph.weights():
        if node.op in ops and role in roles:
            users.setdefault(name, []).append(node)
    return tuple(Weight(name, graph.params[name], tuple(nodes)) for name, nodes in users.items())


def with_options(
    weights: Sequence[Weight], layers: Sequence[LayerRule], defaults: Mapping[str, Any]
) -> Iterator[tuple[Weight, dict[str, Any]]]:
    """Yield each weight that is not skipped with its options: the defaults, changed by the first rule that matches.

    Parameters
    ----------
    weights
        What :func:`weights_of` returned.
    layers
        The rules.
    defaults
        Options for layers without a rule; a rule may name these and ``skip``.

    Raises
    ------
    OptionError
        A rule matches no layer, or names an option that the pass does not have.

    Examples
    --------
    >>> list(with_options([], [], {"bits": 4}))
    []

    """
    _check_rules(weights, layers, defaults)
    for weight in weights:
        chosen: Mapping[str, Any] = {}
        for rule in layers:
            if any(map(rule.matches, weight.names)):
                chosen = rule.options
                break
        if not chosen.get("skip", False):
            yield weight, {**defaults, **{key: value for key, value in chosen.items() if key != "skip"}}


def _check_rules(weights: Sequence[Weight], layers: Sequence[LayerRule], defaults: Mapping[str, Any]) -> None:
    names = list(dict.fromkeys(name for weight in weights for name in weight.names))
    allowed = [*defaults, "skip"]
    for rule in layers:
        for option, value in rule.options.items():
            if option not in allowed:
                raise OptionError(
                    f"the rule {rule.match!r} sets {option!r}, which this pass does not have; "
                    f"its options are {', '.join(allowed)}{did_you_mean(option, allowed)}"
                )
            if option == "skip":
                check_flag("skip", value, rule.match)
        if not any(map(rule.matches, names)):
            listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
            raise OptionError(
                f"the rule {rule.match!r} matches no layer; the names are {listed or 'none: no layer has weights'}"
                f"{did_you_mean(rule.match.removeprefix(_REGEX), names)}"
            )


def check_choice(option: str, value: object, choices: Sequence[str], where: str = "") -> None:
    """Refuse a value that is none of the choices.

    Examples
    --------
    >>> check_choice("scope", "layer", ("layer", "global"))

    """
    if value not in choices:
        raise OptionError(
            f"{option} is {value!r}{_at(where)}; choose one of {', '.join(choices)}{did_you_mean(value, choices)}"
        )


def check_flag(option: str, value: object, where: str = "") -> None:
    """Refuse anything but True and False.

    Examples
    --------
    >>> check_flag("inclusive", True)

    """
    if not isinstance(value, bool):
        raise OptionError(f"{option} is {value!r}{_at(where)}; it is true or false")


def check_whole(option: str, value: object, least: int, most: int, where: str = "") -> None:
    """Refuse anything but a whole number in a range.

    Examples
    --------
    >>> check_whole("bits", 4, 1, 16)

    """
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise OptionError(f"{option} is {value!r}{_at(where)}; give a whole number from {least} to {most}")


def check_number(option: str, value: object, least: float, most: float = math.inf, where: str = "") -> None:
    """Refuse anything but a finite number in a range, its ends included.

    Examples
    --------
    >>> check_number("sparsity", 0.9, 0, 1)

    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most or value == math.inf:
        allowed = f"from {least:g} to {most:g}" if most < math.inf else f"of at least {least:g}"
        raise OptionError(f"{option} is {value!r}{_at(where)}; give a number {allowed}")


def _at(where: str) -> str:
    return f" for {where!r}" if where else ""
