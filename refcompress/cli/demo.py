"""``refcompress demo``: the main job in small, from a trained checkpoint to verified C."""

from __future__ import annotations

import argparse
import itertools
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refcompress.cli.console import print_line, print_table, progress
from refcompress.cli.export import find_exporter
from refcompress.cli.reference import reference_module
from refcompress.cli.text import show_bytes
from refcompress.errors import MissingToolError, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from refcompress.analysis import Accuracy, Report
    from refcompress.graph import Graph

HELP = "show the main job on a small network, in under a minute"
DESCRIPTION = (
    "Import a checkpoint trained on the UCI digits, compress it, measure it, export it to C, compile and run that on "
    "the test digits, and compare bit for bit. Needs scikit-learn, which carries the digits."
)

PREFIX = "digits"
COMPILERS = ("cc", "gcc", "clang")
COMPILER_FLAGS = ("-std=c99", "-O2", "-ffp-contract=off")
GRID = tuple(itertools.product((0.5, 0.6, 0.7, 0.8, 0.85, 0.9), (2, 3, 4, 5)))  # sparsity, bits
ALLOWED_LOSS = 0.005  # of the validation accuracy

_RECIPE = """\
# chosen on the validation digits: the smallest file that loses at most half a point
[[pass]]
name = "prune.magnitude"
sparsity = {sparsity}
scope = "global"

[[pass]]
name = "share_weights.kmeans"
bits = {bits}
"""

_MAIN = """\
/* Reads images of DIGITS_INPUT_SIZE floats from the file argv[1], writes DIGITS_OUTPUT_SIZE floats each to argv[2]. */
#include <stdio.h>

#include "digits.h"

static float input[DIGITS_INPUT_SIZE];
static float output[DIGITS_OUTPUT_SIZE];
static float arena[DIGITS_ARENA_BYTES / sizeof(float) + 1];

int main(int argc, char **argv)
{
    FILE *images = argc == 3 ? fopen(argv[1], "rb") : NULL;
    FILE *results = argc == 3 ? fopen(argv[2], "wb") : NULL;
    if (images == NULL || results == NULL) {
        (void)fprintf(stderr, "usage: digits_demo IMAGES.f32 RESULTS.f32\\n");
        return 2;
    }
    while (fread(input, sizeof input, 1, images) == 1) {
        if (digits_run(input, output, arena) != RC_OK || fwrite(output, sizeof output, 1, results) != 1) {
            return 1;
        }
    }
    (void)fclose(images);
    (void)printf("%lu\\n", (unsigned long)DIGITS_ARENA_BYTES);
    return fclose(results) == 0 ? 0 : 1;
}
"""


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """A recipe that was tried.

    Attributes
    ----------
    recipe
        TOML.
    graph, report
        What it made.

    """

    recipe: str
    graph: Graph
    report: Report


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "-o", "--output", metavar="DIR", default="refcompress-demo", help="the directory to write to (%(default)s)"
    )


def run(args: argparse.Namespace) -> int:
    """Do the main job in small."""
    from refcompress import formats
    from refcompress.analysis import accuracy
    from refcompress.files import write_files
    from refcompress.formats import rcz
    from refcompress.run import run_exact

    start = time.monotonic()
    checkpoint, splits = _material()
    graph = formats.load(checkpoint)
    print_line(f"imported {_shown(checkpoint)}")
    choice = _choose(graph, splits.validation)
    before, after = (accuracy(each, splits.test.x, splits.test.y) for each in (graph, choice.graph))
    sources = {**find_exporter("c")(choice.graph, prefix=PREFIX), "demo_main.c": _MAIN.encode()}
    files = {f"{PREFIX}.rcz": rcz.to_bytes(choice.graph), "recipe.toml": choice.recipe.encode()}
    files |= {f"c/{name}": data for name, data in sources.items()}
    paths = write_files(args.output, files)
    print_line(f"compressed and exported: {len(files)} files written")
    ran = _run_compiled(Path(args.output) / "c", list(sources), splits.test.x)
    verdict, code = "not run: no C compiler (cc, gcc or clang) was found", 0
    if ran is not None:
        (exact,) = run_exact(choice.graph, splits.test.x)
        code = 0 if ran.outputs == exact.tobytes() else 1
        word = "bit for bit equal to" if code == 0 else "NOT EQUAL to"
        verdict = f"{len(exact)} test digits, {word} the reference; {show_bytes(ran.arena_bytes)} bytes of RAM"
    _print_results(checkpoint, choice.report, before, after)
    print_line(f"compiled C: {verdict}")
    for path in paths[:2]:
        print_line(f"wrote {path}")
    print_line(f"wrote {Path(args.output) / 'c'} ({len(sources)} files)")
    print_line(f"done in {time.monotonic() - start:.1f} s")
    return code


def _material() -> tuple[Path, Any]:
    """Return our trained checkpoint and the digits."""
    models = reference_module("reference_models", "the demo's network is")
    data = reference_module("reference_models.data", "the demo's network is")
    return Path(models.DIGITS_CHECKPOINT), data.digits()


def _shown(path: Path) -> Path:
    """Shorten a path below the working directory."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _choose(graph: Graph, validation: Any) -> Choice:
    """Try recipes; return the smallest network that loses at most ALLOWED_LOSS on the validation digits."""
    from refcompress import recipe
    from refcompress.analysis import accuracy
    from refcompress.compress import compress
    from refcompress.steps import in_real_numbers

    least = accuracy(graph, validation.x, validation.y).share - ALLOWED_LOSS
    best: Choice | None = None
    with progress() as advance:
        for done, (sparsity, bits) in enumerate(GRID):
            advance(f"sparsity {sparsity}, {bits} bits", done / len(GRID))
            text = _RECIPE.format(sparsity=sparsity, bits=bits)
            steps = recipe.parse(text, f"the recipe of {bits} bits")
            made, report = compress(graph, steps)
            small = in_real_numbers(made, steps)
            smaller = best is None or report.file_bytes < best.report.file_bytes
            if smaller and accuracy(small, validation.x, validation.y).share >= least:
                best = Choice(text, small, report)
    if best is None:
        raise ModelError("no recipe of the demo keeps the validation accuracy; train the checkpoint again")
    return best


@dataclass(frozen=True, slots=True)
class Ran:
    """What the compiled program did.

    Attributes
    ----------
    outputs
        Its outputs, float32.
    arena_bytes
        RAM it gave to the network.

    """

    outputs: bytes
    arena_bytes: int


def _run_compiled(directory: Path, names: list[str], x: NDArray[np.float32]) -> Ran | None:
    """Compile the C files and run them on the images; None without a compiler."""
    compiler = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if compiler is None:
        return None
    program = directory / "digits_demo"
    sources = [name for name in names if name.endswith(".c")]
    call([compiler, *COMPILER_FLAGS, "-o", program.name, *sources, "-lm"], directory)
    print_line(f"compiled: {Path(compiler).name} {' '.join(COMPILER_FLAGS)}")
    with tempfile.TemporaryDirectory() as scratch:
        images, results = Path(scratch, "images.f32"), Path(scratch, "results.f32")
        images.write_bytes(x.tobytes())
        arena_bytes = call([str(program.resolve()), str(images), str(results)], directory)
        return Ran(results.read_bytes(), int(arena_bytes))


def call(command: list[str], directory: Path) -> str:
    """Run a program and return what it printed.

    Raises
    ------
    MissingToolError
        It fails.

    """
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise MissingToolError(f"{Path(command[0]).name} failed with code {done.returncode} in {directory}: {said[0]}")
    return done.stdout


def _print_results(checkpoint: Path, report: Report, before: Accuracy, after: Accuracy) -> None:
    file_bytes = checkpoint.stat().st_size
    rows = [
        ("HDF5 checkpoint", show_bytes(file_bytes), "", str(before)),
        ("float32 parameters", show_bytes(report.dense_bytes), "1.00", str(before)),
        ("compressed file", show_bytes(report.file_bytes), f"{report.ratio:.2f}", str(after)),
    ]
    print_table(("network", "bytes", "times smaller", "accuracy on the test digits"), rows, right="bytes|times smaller")
