"""Sequential and functional models from HDF5, against naive loops written from the formulas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from checks import keras_files as kf
from checks.keras_files import functional, image_input, layer, nested, normal, sequential
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refcompress import encodings
from refcompress.errors import ModelError
from refcompress.formats import keras
from refcompress.run import run

Array = NDArray[np.float64]

TOLERANCE64 = 1e-12  # float64 sums of at most a few hundred terms of size 1


def naive_same(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return the outputs and the padding before, from TensorFlow's definition of SAME."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return outputs, total // 2


def naive_windows(x: Array, kernel: Any, strides: Any, dilations: Any, padding: str) -> dict[Any, list[Any]]:
    """Map each output pixel to the (row of taps, column of taps, pixel) that its window sees inside the image."""
    planes = []
    for size, k, s, d in zip(x.shape[:2], kernel, strides, dilations, strict=True):
        outputs, before = naive_same(size, k, s, d) if padding == "same" else ((size - (k - 1) * d - 1) // s + 1, 0)
        taps = [[(t, o * s + t * d - before) for t in range(k)] for o in range(outputs)]
        planes.append([[(t, i) for t, i in row if 0 <= i < size] for row in taps])
    return {
        (oy, ox): [(ty, tx, x[iy, ix]) for ty, iy in rows for tx, ix in columns]
        for oy, rows in enumerate(planes[0])
        for ox, columns in enumerate(planes[1])
    }


def to_image(pixels: dict[Any, Array]) -> Array:
    """Gather pixels keyed by their position."""
    height, width = (1 + max(position[axis] for position in pixels) for axis in (0, 1))
    return np.array([[pixels[y, x] for x in range(width)] for y in range(height)])


def naive_conv(x: Array, kernel: Any, strides: Any, dilations: Any, padding: str, groups: int = 1) -> Array:
    """Convolve with a kernel (height, width, channels of a group, filters)."""
    per_group, filters = kernel.shape[2] if groups else 1, kernel.shape[3]
    pixels = {}
    for position, taps in naive_windows(x, kernel.shape[:2], strides, dilations, padding).items():
        pixel = np.zeros(filters)
        for ty, tx, values in taps:
            for f in range(filters):
                first = (f // (filters // groups)) * per_group
                for c in range(per_group):
                    pixel[f] += values[first + c] * kernel[ty, tx, c, f]
        pixels[position] = pixel
    return to_image(pixels)


def naive_depthwise(x: Array, kernel: Any, strides: Any, dilations: Any, padding: str) -> Array:
    """Convolve each channel with filters of its own: a kernel (height, width, channels, multiplier)."""
    channels, multiplier = kernel.shape[2:]
    pixels = {}
    for position, taps in naive_windows(x, kernel.shape[:2], strides, dilations, padding).items():
        pixel = np.zeros(channels * multiplier)
        for ty, tx, values in taps:
            for c in range(channels):
                for m in range(multiplier):
                    pixel[c * multiplier + m] += values[c] * kernel[ty, tx, c, m]
        pixels[position] = pixel
    return to_image(pixels)


def naive_softmax(x: Array) -> Array:
    """Softmax of a vector."""
    e = np.exp(x - x.max())
    return np.asarray(e / e.sum())


def imported(folder: Path, model: Any, weights: Any = None, **options: Any) -> Any:
    """Write a checkpoint and import it."""
    return keras.load(kf.write(folder / "model.h5", model, weights, **options))


def test_an_mlp_computes_what_the_formula_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    w1, b1, w2, b2 = normal(rng, 7, 5), normal(rng, 5), normal(rng, 5, 3), normal(rng, 3)
    model = sequential(
        layer("Dense", "hidden", units=5, activation="relu", use_bias=True, batch_input_shape=[None, 7]),
        layer("Dropout", "drop", rate=0.5),
        layer("Dense", "out", units=3, activation="softmax", use_bias=True),
    )
    weights = {
        "hidden": {"hidden/kernel:0": w1, "hidden/bias:0": b1},
        "drop": {},
        "out": {"out/kernel:0": w2, "out/bias:0": b2},
    }
    graph = imported(tmp_path, model, weights)
    assert [spec.name for spec in graph.inputs] == ["hidden_input"]
    assert [(node.op, node.name) for node in graph.nodes] == [
        ("Gemm", "hidden"),
        ("Relu", "hidden/relu"),
        ("Dropout", "drop"),
        ("Gemm", "out"),
        ("Softmax", "out/softmax"),
    ]
    assert set(graph.params) == {"hidden/kernel", "hidden/bias", "out/kernel", "out/bias"}
    x = rng.normal(size=(4, 7))
    expected = [naive_softmax(np.maximum(row @ w1 + b1, 0.0) @ w2 + b2) for row in x]
    np.testing.assert_allclose(run(graph, x, dtype=np.float64)[0], expected, atol=TOLERANCE64, rtol=0)


def test_a_cnn_computes_what_the_formulas_say(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    kernel, bias, depthwise, dense = normal(rng, 3, 2, 2, 4), normal(rng, 4), normal(rng, 3, 3, 4, 2), normal(rng, 8, 3)
    gamma, beta, mean, var = (normal(rng, 4) for _ in range(4))
    model = sequential(
        image_input("image", 9, 8, 2),
        layer("Conv2D", "conv", filters=4, kernel_size=[3, 2], strides=[2, 1], padding="same", activation="relu"),
        layer("BatchNormalization", "norm", axis=[3], epsilon=0.01, momentum=0.9),
        layer("DepthwiseConv2D", "deep", kernel_size=[3, 3], depth_multiplier=2, use_bias=False, padding="valid"),
        layer("AveragePooling2D", "mean", pool_size=[2, 3], strides=[2, 3], padding="same"),
        layer("GlobalMaxPooling2D", "peak"),
        layer("Dense", "out", units=3, use_bias=False),
    )
    weights = {
        "conv": {"conv/kernel:0": kernel, "conv/bias:0": bias},
        "norm": {
            "norm/gamma:0": gamma,
            "norm/beta:0": beta,
            "norm/moving_mean:0": mean,
            "norm/moving_variance:0": var**2,
        },
        "deep": {"deep/depthwise_kernel:0": depthwise},
        "out": {"out/kernel:0": dense},
    }
    graph = imported(tmp_path, model, weights)
    images = rng.normal(size=(2, 9, 8, 2))
    expected = []
    for image in images:
        y = np.maximum(naive_conv(image, kernel, (2, 1), (1, 1), "same") + bias, 0.0)
        y = gamma * (y - mean) / np.sqrt(np.float64(var**2) + 0.01) + beta
        y = naive_depthwise(y, depthwise, (1, 1), (1, 1), "valid")
        means = naive_windows(y, (2, 3), (2, 3), (1, 1), "same")
        y = to_image({at: sum(v for _, _, v in taps) / len(taps) for at, taps in means.items()})
        expected.append(y.max(axis=(0, 1)) @ dense)
    # the variance is squared in float32 by the test and read in float32 by the graph
    np.testing.assert_allclose(run(graph, images, dtype=np.float64)[0], expected, atol=1e-11, rtol=0)


@settings(max_examples=60)
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilations=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.integers(1, 2),
)
def test_same_padding_is_tensorflows(
    tmp_path_factory: pytest.TempPathFactory, size: Any, kernel: Any, strides: Any, dilations: Any, groups: int
) -> None:
    rng = np.random.default_rng(2)
    weight = normal(rng, *kernel, 2, 2 * groups)
    options = {"filters": 2 * groups, "kernel_size": list(kernel), "strides": list(strides), "padding": "same"}
    options |= {"dilation_rate": list(dilations), "groups": groups, "use_bias": False, "data_format": "channels_last"}
    model = sequential(image_input("x", *size, 2 * groups), layer("Conv2D", "c", **options))
    graph = imported(tmp_path_factory.mktemp("same"), model, {"c": {"c/kernel:0": weight}})
    x = rng.normal(size=(*size, 2 * groups))
    expected = naive_conv(x, weight, strides, dilations, "same", groups)
    np.testing.assert_allclose(run(graph, x[None], dtype=np.float64)[0][0], expected, atol=TOLERANCE64, rtol=0)


def test_a_separable_convolution_becomes_two(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    deep, point, bias = normal(rng, 3, 3, 2, 3), normal(rng, 1, 1, 6, 4), normal(rng, 4)
    options = {"filters": 4, "kernel_size": [3, 3], "depth_multiplier": 3, "padding": "same", "strides": [2, 2]}
    model = sequential(image_input("x", 5, 6, 2), layer("SeparableConv2D", "s", activation="tanh", **options))
    weights = {"s": {"s/depthwise_kernel:0": deep, "s/pointwise_kernel:0": point, "s/bias:0": bias}}
    graph = imported(tmp_path, model, weights)
    assert [(n.op, n.name) for n in graph.nodes] == [
        ("Conv", "s/depthwise"),
        ("Conv", "s/pointwise"),
        ("Tanh", "s/tanh"),
    ]
    assert set(graph.params) == {"s/depthwise/kernel", "s/pointwise/kernel", "s/pointwise/bias"}
    x = rng.normal(size=(5, 6, 2))
    expected = np.tanh(naive_depthwise(x, deep, (2, 2), (1, 1), "same") @ point[0, 0].astype(np.float64) + bias)
    np.testing.assert_allclose(run(graph, x[None], dtype=np.float64)[0][0], expected, atol=TOLERANCE64, rtol=0)


def test_a_layer_called_twice_shares_its_parameters(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    w = normal(rng, 3, 3)
    layers = [
        image_input("a", 3),
        image_input("b", 3),
        layer("Concatenate", "both", [("d", 0, 0), ("d", 1, 0)], axis=-1),  # before what it reads
        layer("Dense", "d", ["a"], ["b"], units=3, use_bias=False, activation="tanh"),
        layer("Add", "sum", [("d", 1, 0), ("d", 0, 0), "a"]),
    ]
    graph = imported(tmp_path, functional(layers, ["a", "b"], ["both", "sum"]), {"d": {"d/kernel:0": w}})
    assert [node.name for node in graph.nodes] == ["d", "d/tanh", "d:2", "d:2/tanh", "both", "sum"]
    assert list(graph.params) == ["d/kernel"]
    a, b = rng.normal(size=(2, 4, 3))
    both, total = run(graph, [a, b], dtype=np.float64)
    np.testing.assert_allclose(both, np.hstack([np.tanh(a @ w), np.tanh(b @ w)]), atol=TOLERANCE64, rtol=0)
    np.testing.assert_allclose(total, np.tanh(b @ w) + np.tanh(a @ w) + a, atol=TOLERANCE64, rtol=0)


def nested_model(first_call: int) -> tuple[Any, dict[str, Any], Any]:
    """Build a model that another calls twice; its calls count from 1 where its making counts as one."""
    rng = np.random.default_rng(5)
    w, gamma, beta, mean = normal(rng, 3, 3), normal(rng, 3), normal(rng, 3), normal(rng, 3)
    inner = sequential(
        image_input("in", 3),
        layer("Dense", "d", units=3, use_bias=False),
        layer("BatchNormalization", "n", epsilon=0.001),
        layer("Dense", "e", units=3, use_bias=False),
        name="inner",
    )
    calls = [(name, first_call + call, 0) for name, call in (("inner", 0), ("inner", 1))]
    outer = functional([image_input("x", 3), nested(inner, ["x"], [calls[0]])], ["x"], [calls[1], calls[0]])
    # as Keras does: what is trained first, then the statistics
    group = {"d/kernel:0": w, "n/gamma:0": gamma, "n/beta:0": beta, "e/kernel:0": w.T}
    group |= {"n/moving_mean:0": mean, "n/moving_variance:0": mean**2 + 1}
    x = rng.normal(size=(2, 3))
    once = [x]
    for _ in range(2):
        y = (once[-1] @ w - mean) / np.sqrt((mean**2 + 1).astype(np.float64) + 0.001) * gamma + beta
        once.append(y @ w.T)
    return outer, group, (x, once[2], once[1])


@pytest.mark.parametrize("first_call", [0, 1])
@pytest.mark.parametrize("prefix", ["", "inner/", "model/inner/"])
def test_a_nested_model_finds_its_weights_by_name(tmp_path: Path, first_call: int, prefix: str) -> None:
    model, group, (x, twice, once) = nested_model(first_call)
    graph = imported(tmp_path, model, {"inner": {prefix + name: array for name, array in group.items()}})
    assert [node.name for node in graph.nodes] == [f"inner{n}/{name}" for n in ("", ":2") for name in "dne"]
    assert set(graph.params) >= {"inner/d/kernel", "inner/n/gamma", "inner/n/moving_variance", "inner/e/kernel"}
    got = run(graph, x, dtype=np.float64)
    np.testing.assert_allclose(got[0], twice, atol=TOLERANCE64, rtol=0)
    np.testing.assert_allclose(got[1], once, atol=TOLERANCE64, rtol=0)


def test_numbered_names_of_reloaded_layers_are_found(tmp_path: Path) -> None:
    model, group, (x, twice, _) = nested_model(1)
    renamed = {name.replace("/", "_1/", 1): array for name, array in group.items()}
    got = run(imported(tmp_path, model, {"inner": renamed}), x, dtype=np.float64)[0]
    np.testing.assert_allclose(got, twice, atol=TOLERANCE64, rtol=0)


def test_names_that_may_mean_several_layers_are_refused(tmp_path: Path) -> None:
    model, group, _ = nested_model(1)
    # numbered anew by reloading: either may be the layer d
    del group["d/kernel:0"]
    group |= {"d_1/kernel:0": group["e/kernel:0"], "d_2/kernel:0": group["e/kernel:0"]}
    with pytest.raises(ModelError, match=r"inner/d.*may be any of 'd_1/kernel:0', 'd_2/kernel:0'"):
        imported(tmp_path, model, {"inner": group})


@pytest.mark.parametrize(
    ("activation", "op"), [("relu", "Relu"), ("relu6", "Clip"), ("sigmoid", "Sigmoid"), ("linear", "")]
)
def test_a_fused_activation_becomes_a_node_of_its_own(tmp_path: Path, activation: str, op: str) -> None:
    model = sequential(image_input("x", 2), layer("Dense", "d", units=1, use_bias=False, activation=activation))
    graph = imported(tmp_path, model, {"d": {"d/kernel:0": np.ones((2, 1), np.float32)}})
    assert [(n.op, n.name) for n in graph.nodes[1:]] == ([(op, f"d/{activation}")] if op else [])
    assert graph.outputs == ((f"d/{activation}",) if op else ("d",))


def test_names_spread_over_several_attributes_are_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    weights = {name: {f"{name}/kernel:0": normal(rng, 2, 2), f"{name}/bias:0": normal(rng, 2)} for name in "ab"}
    model = sequential(image_input("x", 2), *(layer("Dense", name, units=2) for name in "ab"))

    def spread(file: h5py.File) -> None:
        for place, name in ((file["model_weights"], "layer_names"), (file["model_weights/a"], "weight_names")):
            values = place.attrs[name]
            del place.attrs[name]
            place.attrs[name + "0"], place.attrs[name + "1"] = values[:1], values[1:]

    plain, split = imported(tmp_path, model, weights), imported(tmp_path, model, weights, spoil=spread)
    for name in plain.params:
        np.testing.assert_array_equal(encodings.decode(plain.params[name]), encodings.decode(split.params[name]))


@pytest.mark.parametrize("names", ["str", "bytes"])
def test_names_and_architecture_may_be_text_or_bytes(tmp_path: Path, names: str) -> None:
    model = sequential(image_input("x", 2), layer("Dense", "d", units=1, use_bias=False))

    def rewrite(file: h5py.File) -> None:
        for place, name in ((file["model_weights"], "layer_names"), (file["model_weights/d"], "weight_names")):
            texts = [text.decode() for text in place.attrs[name]]
            del place.attrs[name]
            place.attrs[name] = texts if names == "str" else np.array([t.encode() for t in texts])
        if names == "bytes":
            file.attrs["model_config"] = np.bytes_(file.attrs["model_config"].encode())

    assert len(imported(tmp_path, model, {"d": {"d/kernel:0": np.ones((2, 1))}}, spoil=rewrite).nodes) == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4", ">f8"])
def test_other_floats_are_rounded_to_float32(tmp_path: Path, dtype: Any) -> None:
    stored = np.random.default_rng(7).normal(size=(3, 2)).astype(dtype)
    model = sequential(image_input("x", 3), layer("Dense", "d", units=2, use_bias=False))
    array = encodings.decode(imported(tmp_path, model, {"d": {"d/kernel:0": stored}}).params["d/kernel"])
    np.testing.assert_array_equal(array, stored.astype(np.float32))


def test_an_early_sequential_lists_its_layers_without_options(tmp_path: Path) -> None:
    model = {"class_name": "Sequential", "config": [layer("Flatten", "f", batch_input_shape=[None, 2, 3, 1])]}
    assert [node.op for node in imported(tmp_path, model).nodes] == ["Flatten"]


def test_layers_that_only_train_leave_no_node(tmp_path: Path) -> None:
    quiet = [
        layer("Activation", "a", activation="linear"),
        layer("GaussianNoise", "g", stddev=0.1),
        layer("SpatialDropout2D", "s", rate=0.5),
        layer("ActivityRegularization", "r", l1=0.1, l2=0.0),
    ]
    graph = imported(tmp_path, sequential(image_input("x", 2, 2, 1), *quiet))
    assert graph.nodes == ()
    assert graph.outputs == ("x",)
