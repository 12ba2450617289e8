"""The command line: ``refcompress COMMAND ...``; one file a command."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence

from refcompress.cli import compress, demo, export, info, quantize, reproduce, run, verify
from refcompress.cli.text import one_line
from refcompress.errors import RefcompressError
from refcompress.version import __version__

COMMANDS = {
    "info": info,
    "run": run,
    "compress": compress,
    "quantize": quantize,
    "verify": verify,
    "export": export,
    "demo": demo,
    "reproduce": reproduce,
}

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_BROKEN_PIPE = 141  # 128 + SIGPIPE

_EPILOG = """\
MODEL is a Keras HDF5 checkpoint or our .rcz, told apart by content. Data is an .npz with x (samples, batch axis
first) and y (labels). Exit codes: 0 done, 1 an error (one line on stderr) or a failed verification, 2 wrong usage.
Example: refcompress compress model.h5 --sparsity 0.8 --bits 5 -o model.rcz --data test.npz
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv
        Arguments without the program's name; those of the process if not given.

    Returns
    -------
    int
        The exit code: 0 done, 1 an error of ours or a failed verification, 2 wrong usage.

    Examples
    --------
    >>> main(["--version"])  # doctest: +ELLIPSIS
    refcompress ...
    0

    """
    with _forgiving_streams():
        try:
            code = _run(argv)
            sys.stdout.flush()
        except BrokenPipeError:
            _silence_stdout()
            return _BROKEN_PIPE
        except KeyboardInterrupt:
            sys.stderr.write("refcompress: interrupted\n")
            return _INTERRUPTED
        except (RefcompressError, OSError, MemoryError) as error:
            sys.stderr.write(f"refcompress: error: {one_line(_message(error))}\n")
            return 1
    return code


def _run(argv: Sequence[str] | None) -> int:
    try:
        args = _parser().parse_args(argv)
        return int(args.run(args))
    except SystemExit as stop:  # argparse has said what is wrong, or printed its help
        return stop.code if isinstance(stop.code, int) else 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="refcompress",
        description="Compress trained neural networks, verify them, and export C for microcontrollers.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"refcompress {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, module in COMMANDS.items():
        command = commands.add_parser(name, help=module.HELP, description=module.DESCRIPTION)
        module.add_arguments(command)
        command.set_defaults(run=module.run, parser=command)
    return parser


def _message(error: RefcompressError | OSError | MemoryError) -> str:
    if isinstance(error, MemoryError):
        return "there is not enough memory; give fewer samples at a time, or a smaller network"
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


@contextlib.contextmanager
def _forgiving_streams() -> Iterator[None]:
    """Let names that the terminal cannot show be escaped instead of ending the command."""
    changed = []
    for stream in (sys.stdout, sys.stderr):
        errors = getattr(stream, "errors", None)
        if errors and hasattr(stream, "reconfigure"):
            changed.append((stream, errors))
            stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream, errors in changed:
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors=errors)


def _silence_stdout() -> None:
    """Whoever read our output has closed it: say nothing more, also when Python flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, sys.stdout.fileno())
