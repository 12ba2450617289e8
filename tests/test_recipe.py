"""Recipes: what is accepted, what is refused and with what advice."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from refcompress import recipe
from refcompress.errors import OptionError
from refcompress.methods import METHODS
from refcompress.methods.plan_options import PLAN_OPTIONS
from refcompress.options import OPTIONS
from refcompress.passes import PASSES
from refcompress.post_training import quantize_network
from refcompress.recipe import Recipe, Step

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


TRAINING = """
[[pass]]
name = "train.prune_iteratively"
epochs = 3
sparsities = [0.5, 0.8]
rate = 0.01
schedule = "cosine"
teacher = true

[[pass.layers]]
match = "conv*"
sparsities = [0.2, 0.3]
"""


def test_a_training_step_stands_beside_passes() -> None:
    _, _, step = recipe.parse(GOOD + TRAINING).steps
    assert step.name == "train.prune_iteratively"
    assert step.options == {
        "epochs": 3,
        "sparsities": [0.5, 0.8],
        "rate": 0.01,
        "schedule": "cosine",
        "teacher": True,
    }
    assert dict(step.layers[0].options) == {"sparsities": [0.2, 0.3]}


@pytest.mark.parametrize("name", METHODS)
def test_the_options_of_a_training_step_are_those_it_takes_and_those_of_its_plan(name: str) -> None:
    options = OPTIONS[name]
    assert options.trains
    handed_over = {"graph", "data", "plan", "layers", "directory", "progress"}
    taken = {key: p for key, p in inspect.signature(METHODS[name]).parameters.items() if key not in handed_over}
    own = set(options.known) - set(PLAN_OPTIONS) - {"teacher"}
    assert {options.keywords.get(key, key) for key in own} == set(taken)
    required = {options.keywords.get(key, key) for key in options.required} - {"epochs"}
    assert required == {key for key, p in taken.items() if p.default is inspect.Parameter.empty}
    assert set(PLAN_OPTIONS) < set(options.known)
    assert bool(options.by_layer) == ("layers" in inspect.signature(METHODS[name]).parameters)


@pytest.mark.parametrize("name", PASSES)
def test_the_options_of_a_pass_are_those_it_takes(name: str) -> None:
    parameters = inspect.signature(PASSES[name]).parameters
    taken = {key: p for key, p in parameters.items() if key not in {"graph", "inputs", "layers"}}
    assert set(OPTIONS[name].known) == set(taken)
    required = {key for key, p in taken.items() if p.default is inspect.Parameter.empty}
    assert set(OPTIONS[name].required) == required
    assert OPTIONS[name].needs_inputs == ("inputs" in parameters)


def test_every_pass_and_every_method_can_stand_in_a_recipe() -> None:
    assert set(OPTIONS) == set(PASSES) | set(METHODS) | {"quantize_network"}


def test_the_options_of_the_last_step_are_those_it_takes() -> None:
    options, taken = OPTIONS["quantize_network"], inspect.signature(quantize_network).parameters
    assert set(options.known) == set(taken) - {"graph", "calibration", "quantizations", "layers", "batch_size"}
    assert not options.required


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
    "something after the integer network": (
        "[[pass]]\nname = 'quantize_network'\n[[pass]]\nname = 'fold_batch_norm'",
        ["pass 1 (quantize_network) makes an integer network; nothing can follow it"],
    ),
    "layers that are no tables": (
        "[[pass]]\nname = 'quantize.linear'\nbits = 4\nlayers = [1]",
        ["[[pass.layers]] tables"],
    ),
    "a rule that is no regular expression": (
        "[[pass]]\nname = 'quantize.linear'\nbits = 4\n[[pass.layers]]\nmatch = 're:('\nbits = 2",
        ["'re:('"],
    ),
    "a training step without epochs": (
        "[[pass]]\nname = 'train.fine_tune'",
        ["pass 1 (train.fine_tune) lacks the option 'epochs'; give a whole number"],
    ),
    "a misspelt training step": (
        "[[pass]]\nname = 'train.finetune'\nepochs = 1",
        ["unknown pass 'train.finetune'", "did you mean 'train.fine_tune'?"],
    ),
    "a misspelt option of the plan": (
        "[[pass]]\nname = 'train.fine_tune'\nepoch = 1",
        ["unknown option 'epoch'", "did you mean 'epochs'?"],
    ),
    "an option of another training step": (
        "[[pass]]\nname = 'train.fine_tune'\nepochs = 1\nsparsity = 0.5",
        ["unknown option 'sparsity'"],
    ),
    "an unknown schedule": (
        "[[pass]]\nname = 'train.fine_tune'\nepochs = 1\nschedule = 'cosin'",
        ["schedule = 'cosin'; allowed are constant, cosine, one_cycle (did you mean 'cosine'?)"],
    ),
    "a number for a list": (
        "[[pass]]\nname = 'train.prune_iteratively'\nepochs = 1\nsparsities = 0.5",
        ["sparsities = 0.5; it must be a list of numbers"],
    ),
    "an empty list": (
        "[[pass]]\nname = 'train.prune_iteratively'\nepochs = 1\nsparsities = []",
        ["sparsities = []; it must be a list of numbers"],
    ),
    "a list with a text among its numbers": (
        "[[pass]]\nname = 'train.prune_iteratively'\nepochs = 1\nsparsities = [0.5, '0.8']",
        ["it must be a list of numbers"],
    ),
    "a text for a list of texts": (
        "[[pass]]\nname = 'train.raise_threshold'\nepochs = 1\ngroups = 'conv*'",
        ["groups = 'conv*'; it must be a list of texts"],
    ),
    "rules for a step without options of single layers": (
        "[[pass]]\nname = 'train.fine_tune'\nepochs = 1\n[[pass.layers]]\nmatch = 'conv*'\nskip = true",
        ["(train.fine_tune) has no options of single layers", "take its [[pass.layers]] away"],
    ),
    "a rule with an option that is one for all layers": (
        "[[pass]]\nname = 'train.surgery'\nepochs = 1\nthreshold_rate = 1\n[[pass.layers]]\nmatch = 'a'\nepochs = 2",
        ["layers 1: unknown option 'epochs'", "known are threshold_rate, margin, skip"],
    ),
    "surgery by its argument's name": (
        "[[pass]]\nname = 'train.surgery'\nepochs = 1\nrate = 0.5",
        ["lacks the option 'threshold_rate'"],
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
