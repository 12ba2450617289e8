"""What is printed: JSON that any reader takes, tables that fit, progress that keeps quiet."""

from __future__ import annotations

import io
import json
import re
import sys
import time

import pytest

from refcompress.cli import console


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_numbers_that_json_lacks_become_null(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_json({"a": [float("inf"), float("nan"), 1.5], "b": (2, None, "x")})
    assert json.loads(capsys.readouterr().out) == {"a": [None, None, 1.5], "b": [2, None, "x"]}


def _terminal(monkeypatch: pytest.MonkeyPatch, stream: str, columns: int = 40) -> _Terminal:
    terminal = _Terminal()
    monkeypatch.setattr(sys, stream, terminal)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm-256color")
    return terminal


def test_a_table_is_folded_to_the_terminal_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = _terminal(monkeypatch, "stdout")
    name = "abcdefghij" * 6
    console.print_table(("name", "bytes"), [(name, "1")], right="bytes")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()
    assert max(map(len, lines)) <= 40
    assert name in "".join(line.strip().split(" ")[0] for line in lines)
    assert "\x1b[3" not in terminal.getvalue()


def test_names_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table(("name",), [("[red]x[/red]",)], total=("[b]",))
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out
    assert "[b]" in out


def test_short_work_shows_no_bar_and_long_work_does(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch, "stderr", 80)
    with console.progress() as advance:
        advance("quick", 0.5)
    assert terminal.getvalue() == ""
    monkeypatch.setattr(console, "_PATIENCE_SECONDS", 0.02)
    with console.progress() as advance:
        advance("slow [layer]", 0.5)
        time.sleep(0.3)
    assert "slow [layer]" in terminal.getvalue()
    assert "50%" in terminal.getvalue()


def test_there_is_no_bar_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_PATIENCE_SECONDS", 0.0)
    with console.progress() as advance:
        advance("work", 0.5)
        time.sleep(0.05)
    assert capsys.readouterr().err == ""


def test_numbers_are_never_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch, "stdout", 10)
    console.print_table(("name", "bytes"), [("abcdefghijklmnop", "1,234,567,890")], right="bytes", total=("all", "9"))
    assert "1,234,567,890" in terminal.getvalue()


def test_new_work_starts_the_bar_again(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch, "stderr", 80)
    monkeypatch.setattr(console, "_PATIENCE_SECONDS", 0.0)
    with console.progress() as advance:
        for what, share in (("first", 0.25), ("first", 0.75), ("second", 0.5)):
            advance(what, share)
            time.sleep(0.15)
    assert re.search(r"first.* 75%.*second.* 50%", terminal.getvalue(), re.DOTALL)
