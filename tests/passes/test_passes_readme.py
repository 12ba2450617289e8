"""The guide to recipes names every pass and option, with the defaults that the code has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

import refcompress.passes
from refcompress import recipe
from refcompress.options import OPTIONS
from refcompress.passes import PASSES

TEXT = Path(refcompress.passes.__file__).with_name("README.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### `([\w.]+)`\n(.*?)(?=^##)", TEXT, re.MULTILINE | re.DOTALL))


def test_every_pass_has_a_section() -> None:
    assert set(SECTIONS) == set(PASSES)


@pytest.mark.parametrize("name", PASSES)
def test_the_options_of_a_pass_and_their_defaults_are_listed(name: str) -> None:
    rows = re.findall(r"^\| `(\w+)` (\*?) ?\| (.*) \| (\S*) ?\|$", SECTIONS[name], re.MULTILINE)
    options = OPTIONS[name]
    assert {option for option, *_ in rows} == set(options.known)
    parameters = inspect.signature(PASSES[name]).parameters
    for option, _, values, default in rows:
        value = parameters[option].default
        known = options.known[option]
        written = "" if value in {inspect.Parameter.empty, None} else f"`{str(value).lower()}`"
        assert default == written, option
        assert not isinstance(known, tuple) or all(f"`{choice}`" in values for choice in known), option


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL))
def test_the_recipes_of_the_guide_are_sound(block: str) -> None:
    recipe.parse(block)
