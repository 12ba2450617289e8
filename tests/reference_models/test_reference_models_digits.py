"""The digits network: its data, how it is trained, and the checkpoint that is shipped."""

from __future__ import annotations

import builtins
import json
from typing import Any

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

import refcompress
from refcompress import encodings, errors
from reference_models import DIGITS_CHECKPOINT, digits_cnn, train_digits
from reference_models.backprop import Params, backward, forward
from reference_models.data import Labelled, Splits, digits
from reference_models.keras_file import keras_file

MAX_FILE_BYTES = 150_000


@pytest.fixture(scope="module")
def splits() -> Splits:
    return digits()


@pytest.fixture(scope="module")
def shipped() -> Params:
    """Read the weights in the shipped file by h5py alone."""
    with h5py.File(DIGITS_CHECKPOINT) as file:
        weights = file["model_weights"]
        roles = {"weight": "kernel:0", "bias": "bias:0"}
        return {
            f"{layer}/{role}": weights[f"{layer}/{layer}/{keras}"][()]
            for layer in ("conv1", "conv2", "dense1", "dense2")
            for role, keras in roles.items()
        }


def _small(rng: np.random.Generator) -> tuple[Params, NDArray[np.float32], NDArray[np.int64]]:
    # float64 through the same code, so that central differences mean something
    graph = digits_cnn.build(rng)
    params: Any = {name: encodings.decode(value).astype(np.float64) for name, value in graph.params.items()}
    params = {name: value + 0.01 * rng.standard_normal(value.shape) for name, value in params.items()}
    return params, rng.random((3, 8, 8, 1)), rng.integers(0, 10, 3)


def written(params: dict[str, np.ndarray]) -> bytes:
    return keras_file(train_digits.trained(params), "digits_cnn")


def test_the_parts_share_no_example_and_hold_every_digit(splits: Splits) -> None:
    parts = (splits.train, splits.validation, splits.test)
    assert [len(part.y) for part in parts] == [1077, 360, 360]
    images = [image.tobytes() for part in parts for image in part.x]
    assert len(set(images)) == 1797
    for part in parts:
        assert set(part.y.tolist()) == set(range(10))
        assert part.x.dtype == np.float32
        assert 0 <= part.x.min() < part.x.max() <= 1


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name.startswith("sklearn"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(errors.MissingToolError, match=r"pip install 'refcompress\[demo\]'"):
        digits()


def test_gradients_equal_central_differences() -> None:
    rng = np.random.default_rng(3)
    params, x, y = _small(rng)

    def loss(changed: Params) -> float:
        return float(-np.log(forward(changed, x)[0][np.arange(len(y)), y]).mean())

    probabilities, kept = forward(params, x)
    gradients = backward(params, kept, probabilities, y)
    step = 1e-5
    for name, gradient in gradients.items():
        direction = rng.standard_normal(params[name].shape)
        up = loss({**params, name: params[name] + step * direction})
        down = loss({**params, name: params[name] - step * direction})
        slope = float((gradient * direction).sum())
        # the difference quotient errs by step^2 times the third derivative and by rounding / step; the
        # float32 1 / n in `backward` adds 6e-8 relative
        assert (up - down) / (2 * step) == pytest.approx(slope, rel=2e-5, abs=1e-8), name


def test_training_repeats_to_the_last_bit_and_learns(splits: Splits) -> None:
    one, two = (list(train_digits.train(splits, epochs=2, seed=5)) for _ in range(2))
    assert written(one[-1].params) == written(two[-1].params)
    assert one[-1].loss < one[0].loss
    assert one[-1].accuracy > 0.5


def test_the_test_part_is_not_used_in_training(splits: Splits) -> None:
    few = Labelled(splits.train.x[:64], splits.train.y[:64])
    blind = Labelled(np.full_like(splits.test.x, np.nan), splits.test.y)
    seen, unseen = (next(train_digits.train(Splits(few, few, test), epochs=1)).params for test in (splits.test, blind))
    assert all(np.array_equal(seen[name], unseen[name]) for name in seen)


def test_the_shipped_file_is_what_the_script_writes_of_its_weights(shipped: Params) -> None:
    assert len(written(shipped)) == DIGITS_CHECKPOINT.stat().st_size <= MAX_FILE_BYTES
    with h5py.File(DIGITS_CHECKPOINT) as file:
        assert json.loads(file.attrs["model_config"])["class_name"] == "Sequential"
        names = [name.decode() for name in file["model_weights"].attrs["layer_names"]]
        assert names == ["conv1", "conv2", "pool", "flatten", "dropout", "dense1", "dense2"]


def test_the_shipped_weights_classify_98_percent_of_the_test_part(shipped: Params, splits: Splits) -> None:
    assert sum(value.size for value in shipped.values()) == digits_cnn.PARAMETER_COUNT
    assert train_digits.accuracy(shipped, splits.test) >= 0.98


def test_the_engine_reads_and_runs_the_shipped_file(shipped: Params, splits: Splits) -> None:
    graph = refcompress.load(DIGITS_CHECKPOINT)
    (scores,) = refcompress.run(graph, splits.test.x)
    assert (scores.argmax(axis=1) == splits.test.y).mean() >= 0.98
    # in float64 the two implementations differ only by roundings of a few thousand operations of size about 1
    (precise,) = refcompress.run(graph, splits.test.x, dtype=np.float64)
    wide: Any = {name: value.astype(np.float64) for name, value in shipped.items()}
    expected, _ = forward(wide, splits.test.x.astype(np.float64))
    np.testing.assert_allclose(precise, expected, rtol=0, atol=1e-12)
