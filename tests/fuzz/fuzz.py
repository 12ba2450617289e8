"""Search for a flash image that harms: libFuzzer on the checker and the interpreter, from a corpus that is kept."""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from checks.image_networks import every_network  # noqa: E402  (the folder of the tests is no package)
from checks.images import corpus, corpus_path, image_of  # noqa: E402

from exporters import runtime  # noqa: E402

SANITIZERS = "-fsanitize=fuzzer,address,undefined,float-cast-overflow"
MOST_BYTES = 6000  # of an input


def build(kind: str, folder: Path) -> Path:
    """Compile the harness with everything that it tries."""
    files: Mapping[str, bytes] = runtime.image_files(integers=kind == "int8")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    program = folder / "fuzz"
    sources = [str(folder / name) for name in files if name.endswith(".c")]
    flags = ["-g", "-O2", "-ffp-contract=off", SANITIZERS, "-fno-sanitize-recover=all", f"-DINT8={int(kind == 'int8')}"]
    command = ["clang", *flags, f"-I{folder}", str(FOLDER / "image_harness.c"), *sources, "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def keep(kind: str, program: Path, folder: Path) -> None:
    """Reduce the inputs to those that together reach everything, and pack them."""
    reduced = folder / "reduced"
    reduced.mkdir()
    subprocess.run([program, "-merge=1", f"-max_len={MOST_BYTES}", reduced, folder / "inputs"], check=True)
    with tarfile.open(corpus_path(kind), "w:xz", preset=9) as archive:
        for path in sorted(reduced.iterdir(), key=lambda path: (path.stat().st_size, path.name)):
            entry = tarfile.TarInfo(path.name)  # of no date and nobody, so that the same inputs give the same bytes
            entry.size = path.stat().st_size
            archive.addfile(entry, io.BytesIO(path.read_bytes()))


def main() -> int:
    """Fuzz for some seconds, then keep what was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["float32", "int8"])
    parser.add_argument("--seconds", type=int, default=600)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = build(args.kind, folder)
        inputs = folder / "inputs"
        inputs.mkdir()
        seeds = [image_of(made)[16:] for made in every_network(integers=args.kind == "int8")]
        seeds += corpus(args.kind)
        for i, seed in enumerate(seeds):
            (inputs / f"seed-{i}").write_bytes(seed)
        limits = [f"-max_total_time={args.seconds}", f"-max_len={MOST_BYTES}", "-timeout=10", "-rss_limit_mb=2048"]
        artifacts = f"-artifact_prefix={Path.cwd()}{os.sep}"
        command = [program, *limits, artifacts, "-use_value_profile=1", "-print_final_stats=1", inputs]
        done = subprocess.run(command, check=False)
        if done.returncode == 0:
            keep(args.kind, program, folder)
        return done.returncode


if __name__ == "__main__":
    sys.exit(main())
