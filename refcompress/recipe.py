"""A TOML recipe: the passes to run, checked before anything runs.

A recipe lists passes in the order in which they run, each with its options and with options for single layers
(globs or regular expressions, see :mod:`refcompress.passes.rules`; the first match wins)::

    [[pass]]
    name = "prune.magnitude"
    sparsity = 0.8

    [[pass.layers]]
    match = "conv*"
    sparsity = 0.5

    [[pass]]
    name = "share_weights.kmeans"
    bits = 5

A recipe may end in ``quantize_network``, which makes an integer network (:func:`refcompress.quantize_network`).

Steps named ``train.*`` train the network (:data:`refcompress.methods.METHODS`); recipes with such steps are run with
data, by :func:`refcompress.deep_compression.deep_compression`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from refcompress.errors import OptionError, did_you_mean
from refcompress.kinds import FLAG, Kind, is_kind
from refcompress.options import OPTIONS
from refcompress.passes import LayerRule


@dataclass(frozen=True, slots=True)
class Step:
    """One pass of a recipe.

    Attributes
    ----------
    name
        Key of :data:`OPTIONS`.
    options
        Its options.
    layers
        Options of single layers; the first that matches wins.

    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[LayerRule, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """Passes in the order in which they run.

    Attributes
    ----------
    steps
        The passes.
    source
        Where the recipe comes from, for errors.

    Examples
    --------
    >>> from_options(sparsity=0.8, bits=5).steps[0].options
    {'sparsity': 0.8}

    """

    steps: tuple[Step, ...]
    source: str = "the recipe"

    def __post_init__(self) -> None:
        for number, step in enumerate(self.steps, 1):
            where = f"{self.source}, pass {number}"
            _check_step(step, where)
            if OPTIONS[step.name].ends and number < len(self.steps):
                raise OptionError(f"{where} ({step.name}) makes an integer network; nothing can follow it: put it last")


def parse(text: str, source: str = "the recipe") -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    text
        TOML.
    source
        Where it comes from, for errors.

    Raises
    ------
    OptionError
        The text is no TOML, or names a pass or an option that does not exist or a value of a wrong type.

    Examples
    --------
    >>> parse('''
    ... [[pass]]
    ... name = "prune.magnitude"
    ... sparsity = 0.8
    ... ''').steps[0].name
    'prune.magnitude'

    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"{source} is no TOML: {error}") from None
    except RecursionError:
        raise OptionError(f"{source} is nested too deeply") from None
    _refuse_unknown(document, ("pass",), source, "key")
    tables = _tables(document.get("pass", []), "pass", source)
    steps = tuple(_parse_step(table, f"{source}, pass {number}") for number, table in enumerate(tables, 1))
    if not steps:
        raise OptionError(f"{source} has no [[pass]]; known passes are {', '.join(OPTIONS)}")
    return Recipe(steps, source)


def load(path: str | os.PathLike[str]) -> Recipe:
    """Read a recipe file.

    Raises
    ------
    OptionError
        As :func:`parse`.
    OSError
        The file cannot be read.

    """
    try:
        text = Path(path).read_text("utf-8")
    except UnicodeDecodeError as error:
        raise OptionError(f"{path} is no TOML: byte {error.start} is no UTF-8") from None
    return parse(text, str(path))


def from_options(
    *,
    sparsity: float | None = None,
    bits: int | None = None,
    quantize: Literal["kmeans", "linear"] = "kmeans",
    fold_batch_norm: bool = False,
) -> Recipe:
    """Make a recipe of the few options that most people need; without any it only re-encodes, losslessly.

    Parameters
    ----------
    sparsity
        Share of each layer's weights to set to zero, 0 to 1 (``prune.magnitude``).
    bits
        Bits of a weight: 2^bits shared values in each layer, or as many integers.
    quantize
        Whether ``bits`` means shared weights (``share_weights.kmeans``) or integers (``quantize.linear``).
    fold_batch_norm
        Whether batch normalization is folded into the layers before it, first.

    Raises
    ------
    OptionError
        ``quantize`` is neither of the two.

    """
    steps = [Step("fold_batch_norm")] if fold_batch_norm else []
    if sparsity is not None:
        steps.append(Step("prune.magnitude", {"sparsity": sparsity}))
    if bits is not None:
        named = {"kmeans": "share_weights.kmeans", "linear": "quantize.linear"}
        if quantize not in named:
            raise OptionError(f"quantize {quantize!r}; allowed are {', '.join(named)}")
        steps.append(Step(named[quantize], {"bits": bits}))
    return Recipe(tuple(steps), "the options")


def _tables(value: Any, key: str, where: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise OptionError(f"{where}: {key!r} must be written as [[{key}]] tables")
    return value


def _parse_step(table: dict[str, Any], where: str) -> Step:
    options = dict(table)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise OptionError(f"{where} has no name; known passes are {', '.join(OPTIONS)}")
    rules = []
    for number, rule in enumerate(_tables(options.pop("layers", []), "pass.layers", where), 1):
        own = dict(rule)
        match = own.pop("match", None)
        if not isinstance(match, str):
            raise OptionError(f'{where}, layers {number} has no match; write match = "conv*", say')
        try:
            rules.append(LayerRule(match, own))
        except OptionError as error:
            raise OptionError(f"{where}, layers {number}: {error}") from None
    return Step(name, options, tuple(rules))


def _check_step(step: Step, where: str) -> None:
    _refuse_unknown([step.name], OPTIONS, where, "pass")
    where = f"{where} ({step.name})"
    options = OPTIONS[step.name]
    _check_options(step.options, options.known, where)
    for name, kind in options.required.items():
        if name not in step.options:
            raise OptionError(f"{where} lacks the option {name!r}; give {kind}")
    if options.by_layer == () and step.layers:
        raise OptionError(f"{where} has no options of single layers; take its [[pass.layers]] away")
    by_layer = options.known if options.by_layer is None else {name: options.known[name] for name in options.by_layer}
    for number, rule in enumerate(step.layers, 1):
        _check_options(rule.options, {**by_layer, "skip": FLAG}, f"{where}, layers {number}")


def _check_options(options: Mapping[str, Any], known: Mapping[str, Kind], where: str) -> None:
    _refuse_unknown(options, known, where, "option")
    for name, value in options.items():
        kind = known[name]
        if not is_kind(value, kind):
            allowed = f"it must be {kind}" if isinstance(kind, str) else f"allowed are {', '.join(kind)}"
            close = did_you_mean(value, kind) if isinstance(kind, tuple) else ""
            raise OptionError(f"{where}: {name} = {value!r}; {allowed}{close}")


def _refuse_unknown(names: Iterable[str], known: Iterable[str], where: str, what: str) -> None:
    known = tuple(known)
    for name in names:
        if name not in known:
            listed = f"known are {', '.join(known)}" if known else "there are none"
            raise OptionError(f"{where}: unknown {what} {name!r}{did_you_mean(name, known)}; {listed}")
