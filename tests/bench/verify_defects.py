"""Count the injected defects whose layer is named, and the false alarms on correct runs of other frameworks.

``python tests/bench/verify_defects.py defects DATA``, ``python tests/bench/verify_defects.py integers DATA`` and
``python tests/bench/verify_defects.py runs DATA --framework torch --threads 2``.
DATA is the folder of real checkpoints (its `h5`, `h5_ref` and `tflite`). The first two need no framework, the third the
one it names; TensorFlow takes its number of threads once a process, so each is a run of its own. ``integers`` judges
int8 networks: defects, and correct runs of every known runtime and, where it is installed, of the TFLite interpreter
with its default kernels.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from checks.correct_runs import networks, runs
from checks.defects import injected
from checks.integer_defects import injected_integers

from refcompress import formats
from refcompress.errors import MissingToolError
from refcompress.formats import tflite
from refcompress.integer import RUNTIMES, IntegerNetwork, run_integer_all
from refcompress.verify import compare_integer_layers, compare_layers
from refcompress.verify.adaptors import tflite_integer


def defects(data: Path, seeds: int) -> None:
    """Inject defects into every network and count the layers and causes that are named."""
    counts: Counter[str] = Counter()
    for name, path in networks(data).items():
        graph, start = formats.load(path), time.perf_counter()
        shape = (4, *graph.inputs[0].shape)
        reference = data / "h5_ref" / f"{name}.npz"
        x = np.random.default_rng(0).random(shape, np.float32)
        if reference.exists():
            with np.load(reference) as file:
                x = file["x0"][:4].reshape(shape)
        here: Counter[str] = Counter()
        for seed in range(seeds):
            for defect in injected(graph, {graph.inputs[0].name: x}, seed=seed, exact=seed % 2 == 1):
                verdict = compare_layers(graph, defect.activations)
                bad = verdict.bad[0] if verdict.bad else None
                right = bad is not None and bad.name == defect.node
                here.update(injected=1, named=right, alone=right and len(verdict.bad) == 1)
                here.update(explained=bool(bad and (bad.cause or bad.precision)))
                if not right:
                    print(f"  {defect.kind} in {defect.node}: {[tensor.name for tensor in verdict.bad]}")
        counts += here
        print(f"{name:30} {_shown(here)}  {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{'all':30} {_shown(counts)}")


def integers(data: Path, seeds: int) -> None:
    """Do the same with int8 networks, and judge correct runs of every runtime."""
    counts: Counter[str] = Counter()
    for path in sorted((data / "tflite").glob("*_int8.tflite")):
        network, start = tflite.load(path), time.perf_counter()
        with np.load(path.with_name(f"{path.stem}_io.npz")) as file:
            x = file["x"][:4]
        here: Counter[str] = Counter()
        for seed in range(seeds):
            for defect in injected_integers(network, x, seed=seed, runtime=("tflm", "tflite")[seed % 2]):
                verdict = compare_integer_layers(network, defect.activations)
                bad = verdict.bad[0] if verdict.bad else None
                right = bad is not None and bad.name == defect.node
                here.update(injected=1, named=right, alone=right and len(verdict.bad) == 1)
                here.update(explained=bool(bad and (bad.cause or bad.precision)))
                if not right:
                    print(f"  {defect.kind} in {defect.node}: {[tensor.name for tensor in verdict.bad]}")
            here.update(_correct_integers(network, path, seed))
        counts += here
        runs_of = f"{here['runs']} runs, {here['alarms']} false alarms"
        print(f"{path.stem:30} {_shown(here)}  {runs_of}  {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{'all':30} {_shown(counts)}  {counts['runs']} runs, {counts['alarms']} false alarms")


def _correct_integers(network: IntegerNetwork, path: Path, seed: int) -> Counter[str]:
    """Judge the layers of correct runs on random integers."""
    inputs = tflite_integer.random_integers(network, 2, seed=seed)
    made = {runtime: run_integer_all(network, inputs, runtime=runtime) for runtime in RUNTIMES}
    try:
        made["interpreter"] = tflite_integer.capture(path.read_bytes(), inputs, network)
    except MissingToolError as error:
        print(f"  without the interpreter: {error}")
    verdicts = [compare_integer_layers(network, activations) for activations in made.values()]
    return Counter(runs=len(verdicts), alarms=sum(not verdict.within for verdict in verdicts))


def _shown(counts: Counter[str]) -> str:
    return "  ".join(f"{counts[key]} {key}" for key in ("injected", "named", "alone", "explained"))


def correct(data: Path, framework: str, threads: int, seeds: int) -> None:
    """Judge correct runs of a framework."""
    total = alarms = 0
    largest = 0.0
    for name, path in networks(data).items():
        start = time.perf_counter()
        for checked in runs(path, framework, threads, range(seeds)):
            total, alarms = total + 1, alarms + checked.alarm
            largest = max(largest, *(tensor.max_ratio for tensor in checked.layers.tensors))
            if checked.alarm:
                found = [(t.name, t.state, t.max_ratio) for t in (*checked.layers.bad, *checked.outputs.bad)]
                print(f"  false alarm: {name} seed {checked.seed}: {found}")
        print(f"{name:30} {framework} on {threads} threads  {time.perf_counter() - start:.0f} s", flush=True)
    print(f"{framework} on {threads} threads: {total} runs, {alarms} false alarms, largest ratio {largest:.3f}")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("defects", "integers", "runs"))
    parser.add_argument("data", type=Path)
    parser.add_argument("--framework", default="torch", choices=("torch", "onnxruntime", "keras"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=5)
    args = parser.parse_args()
    if args.what == "defects":
        defects(args.data, args.seeds)
    elif args.what == "integers":
        integers(args.data, args.seeds)
    else:
        correct(args.data, args.framework, args.threads, args.seeds)


if __name__ == "__main__":
    main()
