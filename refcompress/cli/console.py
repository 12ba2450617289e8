"""What a command prints: one JSON document, or tables; progress on stderr."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, Any

from refcompress.cli.text import one_line

if TYPE_CHECKING:
    from rich.console import Console

Advance = Callable[[str, float], None]

_PATIENCE_SECONDS = 2.0  # work shorter than this shows no progress bar
_ENDLESS_COLUMNS = 100_000  # the width of what is no terminal: nothing is cut
_NARROWEST_NAME = 8
_BAR_COLUMNS = 10
_PARTS = 1_000_000  # of the whole work, which Rich counts in


def print_json(document: Any) -> None:
    """Print one JSON document; numbers that JSON cannot hold (infinities, NaN) become null."""
    sys.stdout.write(json.dumps(_finite(document), indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_line(text: str) -> None:
    """Print one line as it is, names made printable."""
    sys.stdout.write(one_line(text) + "\n")


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "", total: Sequence[str] | None = None
) -> None:
    """Print a table on stdout: folded to a terminal, never cut.

    Parameters
    ----------
    columns
        Headings.
    rows
        Cells.
    right
        Headings of the columns to align right, separated by ``|``.
    total
        A last row, under a line.

    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = _console(sys.stdout)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_footer=total is not None)
    needed = 2
    for index, heading in enumerate(columns):
        number = heading in right.split("|")
        footer = one_line(total[index]) if total else ""
        # numbers stay whole, names fold; in a terminal too narrow even for that, lines run over its edge
        longest = max(len(text) for text in (heading, footer, *(row[index] for row in rows)))
        needed += (longest if number else min(longest, _NARROWEST_NAME)) + 3
        table.add_column(
            Text(heading),
            footer=Text(footer),
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=number,
            min_width=longest if number else None,
        )
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    console.width = max(console.width, needed)
    console.print(table)


def _console(stream: IO[str]) -> Console:
    from rich.console import Console

    class OurConsole(Console):
        """A console that leaves a closed pipe to the command line's `main`, as versions of Rich before 13.8 do."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    console = OurConsole(file=stream, markup=False, highlight=False)
    if not console.is_terminal:
        console.width = _ENDLESS_COLUMNS
    return console


@contextlib.contextmanager
def progress() -> Iterator[Advance]:
    """Show a bar with the time left on stderr, if that is a terminal and the work takes over two seconds.

    Yields
    ------
    advance
        Called with what is being done and the share that is done, 0 to 1.

    """
    if not sys.stderr.isatty():
        yield lambda _what, _share: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.table import Column

    # in a narrow terminal the text is cut, not the time left
    text = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
    columns = (text, BarColumn(bar_width=_BAR_COLUMNS), TaskProgressColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=_console(sys.stderr), transient=True, expand=True)
    task = bar.add_task("", total=_PARTS)
    last = 0.0

    def advance(what: str, share: float) -> None:
        nonlocal last
        if share < last:  # new work begins, with a speed of its own; resumed work not at nothing
            bar.reset(task, completed=round(share * _PARTS))
        last = share
        bar.update(task, description=one_line(what), completed=share * _PARTS)

    # started by a timer, not by the work: one long step calls nobody
    timer = threading.Timer(_PATIENCE_SECONDS, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield advance
    finally:
        timer.cancel()
        timer.join()
        bar.stop()
