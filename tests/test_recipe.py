"""Recipes: what is accepted, what is refused and with what advice."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from refcompress import recipe
from refcompress.errors import OptionError
from refcompress.passes import PASSES
from refcompress.recipe import OPTIONS, Recipe, Step

GOOD = """
[[pass]]
name = "prune.magnitude"
sparsity = 0.8

[[pass.layers]]
match = "conv*"
sparsity = 0.5

[[pass.layers]]
match = "re:fc[0-9]"
skip = true

[[pass]]
name = "share_weights.kmeans"
bits = 5
init = "linear"
"""


def test_a_recipe_holds_its_passes_in_order_with_their_options() -> None:
    first, second = recipe.parse(GOOD).steps
    assert (first.name, first.options) == ("prune.magnitude", {"sparsity": 0.8})
    assert [(rule.match, dict(rule.options)) for rule in first.layers] == [
        ("conv*", {"sparsity": 0.5}),
        ("re:fc[0-9]", {"skip": True}),
    ]
    assert (second.name, second.options, second.layers) == (
        "share_weights.kmeans",
        {"bits": 5, "init": "linear"},
        (),
    )


@pytest.mark.parametrize("name", OPTIONS)
def test_the_options_of_a_pass_are_those_it_takes(name: str) -> None:
    parameters = inspect.signature(PASSES[name]).parameters
    taken = {key: p for key, p in parameters.items() if key not in {"graph", "inputs", "layers"}}
    assert set(OPTIONS[name].known) == set(taken)
    required = {key for key, p in taken.items() if p.default is inspect.Parameter.empty}
    assert set(OPTIONS[name].required) == required
    assert OPTIONS[name].needs_inputs == ("inputs" in parameters)


def test_every_pass_can_stand_in_a_recipe() -> None:
    assert set(OPTIONS) == set(PASSES)


BAD = {
    # what is wrong: the text, and words of the message
    "no TOML": ("[[pass", ["is no TOML"]),
    "nothing": ("", ["has no [[pass]]", "prune.magnitude"]),
    "an unknown key": ("passes = 1", ["unknown key 'passes'", "did you mean 'pass'?"]),
    "a single table": ("[pass]\nname = 'prune.magnitude'", ["[[pass]] tables"]),
    "no name": ("[[pass]]\nbits = 3", ["pass 1 has no name"]),
    "a misspelt pass": (
        "[[pass]]\nname = 'prune.magnitud'",
        ["pass 1: unknown pass 'prune.magnitud'", "did you mean 'prune.magnitude'?", "quantize.linear"],
    ),
    "a misspelt option": (
        "[[pass]]\nname = 'prune.magnitude'\nsparsty = 0.5",
        ["(prune.magnitude): unknown option 'sparsty'", "did you mean 'sparsity'?", "known are sparsity, scope"],
    ),
    "a missing option": ("[[pass]]\nname = 'quantize.linear'", ["lacks the option 'bits'; give a whole number"]),
    "a text for a number": (
        "[[pass]]\nname = 'prune.magnitude'\nsparsity = '0.5'",
        ["sparsity = '0.5'; it must be a number"],
    ),
    "a flag for a number": (
        "[[pass]]\nname = 'prune.magnitude'\nsparsity = true",
        ["sparsity = True; it must be a number"],
    ),
    "a fraction for a whole number": (
        "[[pass]]\nname = 'quantize.linear'\nbits = 4.0",
        ["bits = 4.0; it must be a whole number"],
    ),
    "a number for a flag": (
        "[[pass]]\nname = 'prune.threshold'\nq = 1\ninclusive = 1",
        ["inclusive = 1; it must be true or false"],
    ),
    "an unknown choice": (
        "[[pass]]\nname = 'prune.magnitude'\nsparsity = 0.5\nscope = 'globl'",
        ["scope = 'globl'; allowed are layer, global", "did you mean 'global'?"],
    ),
    "a list for a choice": (
        "[[pass]]\nname = 'prune.magnitude'\nsparsity = 0.5\nscope = ['layer']",
        ["scope = ['layer']; allowed are layer, global"],
    ),
    "an option of a pass without options": (
        "[[pass]]\nname = 'fold_batch_norm'\nx = 1",
        ["unknown option 'x'; there are none"],
    ),
    "a rule without match": (
        "[[pass]]\nname = 'quantize.linear'\nbits = 4\n[[pass.layers]]\nbits = 2",
        ["layers 1 has no match"],
    ),
    "a rule with an unknown option": (
        "[[pass]]\nname = 'quantize.linear'\nbits = 4\n[[pass.layers]]\nmatch = 'a'\nbit = 2",
        ["layers 1: unknown option 'bit'", "did you mean 'bits'?"],
    ),
    "layers that are no tables": (
        "[[pass]]\nname = 'quantize.linear'\nbits = 4\nlayers = [1]",
        ["[[pass.layers]] tables"],
    ),
    "a rule that is no regular expression": (
        "[[pass]]\nname = 'quantize.linear'\nbits = 4\n[[pass.layers]]\nmatch = 're:('\nbits = 2",
        ["'re:('"],
    ),
    "nesting without end": ("a = " + "[" * 5000 + "]" * 5000, ["is"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_wrong_recipe_is_refused_with_place_and_remedy(case: str) -> None:
    text, words = BAD[case]
    with pytest.raises(OptionError) as caught:
        recipe.parse(text, "r.toml")
    message = str(caught.value)
    assert message.startswith("r.toml")
    assert all(word in message for word in words), message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_bytes(b"# \xff")
    with pytest.raises(OptionError, match="byte 2 is no UTF-8"):
        recipe.load(path)


def test_a_recipe_made_in_python_is_checked_too() -> None:
    with pytest.raises(OptionError, match="unknown option 'bitz'"):
        Recipe((Step("quantize.linear", {"bitz": 4}),))


def test_the_few_options_make_the_passes_people_expect() -> None:
    made = recipe.from_options(sparsity=0.5, bits=4, quantize="linear", fold_batch_norm=True)
    assert [(step.name, step.options) for step in made.steps] == [
        ("fold_batch_norm", {}),
        ("prune.magnitude", {"sparsity": 0.5}),
        ("quantize.linear", {"bits": 4}),
    ]
    assert recipe.from_options().steps == ()
    with pytest.raises(OptionError, match="kmeans, linear"):
        recipe.from_options(bits=3, quantize="median")  # type: ignore[arg-type]
