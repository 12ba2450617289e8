"""Powers as frameworks compute them: no value beyond its bound, whatever the exponent and the sign of the base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks.frameworks import framework
from numpy.typing import NDArray

from refcompress import formats
from refcompress.graph import Graph
from refcompress.run import run_all
from refcompress.verify import compare, compare_layers, error_bounds
from refcompress.verify.adaptors import keras as keras_adaptor
from refcompress.verify.adaptors import onnxruntime as onnx_adaptor
from refcompress.verify.adaptors import torch as torch_adaptor

pytestmark = pytest.mark.filterwarnings("ignore")

F = np.float32
WHOLE = (2.0, 3.0, -1.0, 0.0, 1.0, -2.0, 8.0)
BROKEN = (0.5, -0.5, 1.7, -3.25)
BASES = (0.5, 2.0, 10.0)
SAMPLES, WIDTH = 300, 16


def arguments() -> dict[str, NDArray[np.float32]]:
    """Bases of both signs and all sizes of which the powers are finite, positive ones, and exponents."""
    rng = np.random.default_rng(0)
    size = (SAMPLES, WIDTH)
    x = 2 ** rng.uniform(-15, 15, size) * rng.choice([-1, 1], size)
    return {
        "x": np.where(rng.random(size) < 0.5, rng.normal(size=size), x).astype(F),
        "positive": (2 ** rng.uniform(-38, 38, size)).astype(F),
        "y": rng.uniform(-3, 3, size).astype(F),
    }


def powers(x: Any, positive: Any, y: Any) -> list[Any]:
    return [
        *(x**n for n in WHOLE),
        *(positive**n for n in (*WHOLE[:-1], *BROKEN)),
        *(base**y for base in BASES),
        positive**y,
    ]


def within(graph: Graph, outputs: list[Any]) -> None:
    inputs = arguments()
    assert [node.op for node in graph.nodes] == ["Pow"] * len(graph.outputs)
    arrays = {f"x{i}": inputs[spec.name.split("_")[0]] for i, spec in enumerate(graph.inputs)}
    arrays.update({f"y{i}": np.asarray(array) for i, array in enumerate(outputs)})
    verdict = compare(graph, arrays, model="deterministic")
    assert verdict.within, verdict.bad
    for tensor in verdict.tensors:
        assert np.isfinite(tensor.max_bound), tensor
    # the bound is 8 ULP, and says something: a step of 1 in the third digit is found
    arrays["y0"] = arrays["y0"] * F(1.001)
    assert not compare(graph, arrays, model="deterministic").within


@pytest.mark.parametrize("name", ["keras", "tf_keras"])
@pytest.mark.parametrize("ending", ["h5", "keras"])
def test_powers_of_tensorflow_are_within(name: str, ending: str, tmp_path: Path) -> None:
    framework("tensorflow")
    keras = framework(name)
    inputs = [keras.Input((WIDTH,), name=key) for key in arguments()]
    model = keras.Model(inputs, powers(*inputs))
    model.save(tmp_path / f"model.{ending}")
    made = model.predict(list(arguments().values()), verbose=0)
    within(formats.load(tmp_path / f"model.{ending}"), made)


def test_powers_of_tensorflow_are_within_as_layers(tmp_path: Path) -> None:
    framework("tensorflow")
    keras = framework("keras")
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="first")(inputs)
    x = keras.layers.Conv2D(4, 3, name="second")(x**2)
    x = keras.layers.Dense(5, name="last")(keras.layers.Flatten()(abs(x) ** 1.7))
    model = keras.Model(inputs, x)
    model.save(tmp_path / "model.keras")
    graph = formats.load(tmp_path / "model.keras")
    given = {graph.inputs[0].name: np.random.default_rng(0).normal(size=(32, 8, 8, 3)).astype(F)}
    verdict = compare_layers(graph, keras_adaptor.capture(model, given, graph))
    assert verdict.within, verdict.bad
    assert [node.op for node in graph.nodes].count("Pow") == 2
    assert verdict.unseen == ()


def exported(tmp_path: Path) -> tuple[Any, Path]:
    """Return a PyTorch module of powers and its export to ONNX."""
    torch = framework("torch")

    class Powers(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: Any, positive: Any, y: Any) -> list[Any]:
            return powers(x, positive, y)

    path = tmp_path / "model.onnx"
    names, given = list(arguments()), tuple(torch.from_numpy(array) for array in arguments().values())
    axes = {name: {0: "N"} for name in names}
    torch.onnx.export(Powers(), given, path, input_names=names, dynamic_axes=axes, dynamo=False)
    return Powers(), path


def test_powers_of_onnx_runtime_and_pytorch_are_within(tmp_path: Path) -> None:
    framework("onnxruntime")
    module, path = exported(tmp_path)
    graph = formats.load(path)
    within(graph, list(onnx_adaptor.outputs(onnx_adaptor.load(path), arguments(), graph)))
    within(graph, list(torch_adaptor.outputs(module, arguments(), graph)))


def test_bounds_of_bases_with_errors_stay_finite() -> None:
    """A square behind a layer: the base has an error and both signs, and is near 0 now and then."""
    from checks.single_nodes import single_node

    from refcompress.encodings import encode
    from refcompress.graph import Node
    from refcompress.ops import NoAttrs

    graph, inputs = single_node("Gemm", np.random.default_rng(0), samples=50)
    node = Node("Pow", "square", ("y",), "z", {"exponent": "two"}, NoAttrs())
    squared = Graph(graph.inputs, ("z",), (*graph.nodes, node), {**graph.params, "two": encode(np.array([2], F))})
    reference, bounds = error_bounds(squared, inputs)
    assert np.isfinite(bounds["z"]).all()
    assert (np.abs(run_all(squared, inputs)["z"] - reference["z"]) <= bounds["z"]).all()
    assert np.median(bounds["z"]) < 1e-5
