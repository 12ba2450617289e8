"""The shipped recipes still give the sizes that the README shows, and what they give still runs bit for bit."""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest

from refcompress import recipe
from refcompress.cli import main

ROOT = Path(__file__).parent.parent.parent
BENCH = ROOT / "tests" / "bench" / "mlperf_tiny.py"
RECIPES = sorted(Path(str(resources.files("reference_models").joinpath("recipes"))).glob("*.toml"))
RESULTS = json.loads(resources.files("reference_models").joinpath("results", "mlperf_tiny.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mlperf_tiny", BENCH)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", RECIPES, ids=[path.stem for path in RECIPES])
def test_every_shipped_recipe_is_one(path: Path) -> None:
    assert recipe.load(path).steps


def test_the_table_of_the_readme_is_that_of_the_results(bench: ModuleType) -> None:
    assert bench.table([bench.Row(**row) for row in RESULTS]) in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet8", "vww", "ad01", "str_ww"])
def test_a_real_network_compresses_as_the_readme_says(
    name: str, bench: ModuleType, shared_data: Path, tmp_path: Path
) -> None:
    expected = next(row for row in RESULTS if row["network"] == bench.NETWORKS[name].title)
    row = bench.measure(name, shared_data, 1, tmp_path)
    # other BLAS libraries round otherwise, and a rounding may tip an integer over
    assert abs(row.rcz_bytes - expected["rcz_bytes"]) <= 0.02 * expected["rcz_bytes"]
    if row.bit_equal:
        assert row.bit_equal == 1
        assert row.flash_bytes <= 1.02 * expected["flash_bytes"]
        assert row.ram_bytes <= expected["ram_bytes"]
        assert row.instructions is None or row.instructions <= 1.05 * expected["instructions"]


@pytest.mark.slow
def test_fine_tuning_a_network_of_others_gives_what_the_readme_says(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = next(path for path in RECIPES if path.stem == "mlperf_resnet8_tuned")
    checkpoint, output = shared_data / "h5" / "mlperf_pretrainedResnet.h5", tmp_path / "tuned.rcz"
    argv = ["compress", str(checkpoint), "--recipe", str(made), "--train", f"cifar10:{shared_data / 'cifar10'}"]
    assert main([*argv, "--json", "-o", str(output)]) == 0
    document = json.loads(capsys.readouterr().out)
    # other BLAS libraries round otherwise, and training carries that on
    assert abs(output.stat().st_size - 23_671) <= 0.02 * 23_671
    assert document["accuracy_before"] == {"correct": 1865, "total": 2000, "share": 0.9325}
    assert document["accuracy_after"]["share"] == pytest.approx(0.9205, abs=0.005)
    assert document["stages"][-1]["validation"] == pytest.approx(0.092, abs=0.005)
