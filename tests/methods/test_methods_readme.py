"""The guide to methods names every method and option, with the defaults that the code has."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import refcompress.methods
from refcompress.methods import METHODS

TEXT = Path(refcompress.methods.__file__).with_name("README.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## `([\w.]+)`\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
COMMON = {"graph", "data", "plan", "layers", "directory", "progress"}


def test_every_method_has_a_section_and_a_line_in_the_overview() -> None:
    assert set(SECTIONS) == set(METHODS)
    assert re.findall(r"^\| \[`([\w.]+)`\]", TEXT, re.MULTILINE) == list(SECTIONS)


@pytest.mark.parametrize("name", METHODS)
def test_the_options_of_a_method_and_their_defaults_are_listed(name: str) -> None:
    rows = re.findall(r"^\| `(\w+)` (\*?) ?\| (.*) \| (.*?) ?\|$", SECTIONS[name], re.MULTILINE)
    parameters = inspect.signature(METHODS[name]).parameters
    hints = get_type_hints(METHODS[name])
    assert {option for option, *_ in rows} == set(parameters) - COMMON
    for option, by_layer, values, default in rows:
        value = parameters[option].default
        texts = value if isinstance(value, tuple) else (value,)
        wanted = "" if value is inspect.Parameter.empty else ", ".join(f"`{_written(each)}`" for each in texts)
        assert default == wanted, option
        assert all(f"`{choice}`" in values for choice in get_args(hints[option]) if isinstance(choice, str)), option
        assert not by_layer or "layers" in parameters


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
