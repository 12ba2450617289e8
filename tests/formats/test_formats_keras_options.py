"""What of Keras cannot be represented: each case is refused with the layer, its class, the option and a remedy."""

from __future__ import annotations

import marshal
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checks import keras_files as kf
from checks.keras_files import functional, image_input, layer, sequential

from refcompress import ops
from refcompress.errors import ModelError, OptionError
from refcompress.formats import keras

CONV = {"filters": 2, "kernel_size": [1, 1], "use_bias": False}
KERNELS = {
    "Conv2D": ("kernel:0", (1, 1, 2, 2)),
    "Dense": ("kernel:0", (2, 2)),
    "DepthwiseConv2D": ("depthwise_kernel:0", (1, 1, 2, 1)),
    "Conv2DTranspose": ("kernel:0", (1, 1, 2, 2)),
    "EinsumDense": ("kernel:0", (2, 3)),
}


def one_layer(folder: Path, class_name: str, options: dict[str, Any]) -> Any:
    """Import a model of one layer named "it" on images of 4 × 4 × 2."""
    model = sequential(image_input("x", 4, 4, 2), layer(class_name, "it", **options))
    weights = {}
    if class_name in KERNELS:
        name, shape = KERNELS[class_name]
        weights["it"] = {f"it/{name}": np.ones(shape, np.float32)}
    return keras.load(kf.write(folder / "model.h5", model, weights))


@pytest.mark.parametrize(
    ("class_name", "option", "value"),
    [
        ("Conv2D", "data_format", "channels_middle"),
        ("Conv2D", "padding", "causal"),
        ("Conv2D", "padding", 1),
        ("Conv2D", "strides", [0, 1]),
        ("Conv2D", "strides", [1, 1, 1]),
        ("Conv2D", "strides", True),
        ("Conv2D", "kernel_size", None),
        ("Conv2D", "filters", "2"),
        ("Conv2D", "filters", 10**30),
        ("Conv2D", "groups", 3),
        ("Conv2D", "use_bias", "no"),
        ("Conv2D", "activation", "sparsemax"),
        ("Conv2D", "activation", {"class_name": "PReLU", "config": {}}),
        ("Conv2D", "invented", 7),  # an option nobody knows may change what the layer computes
        ("Conv2D", "dtype", "int8"),
        ("Conv2D", "dtype", {"class_name": "Policy", "config": {"name": "complex64"}}),
        ("Conv2D", "dtype", {"class_name": "QuantizedDTypePolicy", "config": {"mode": "int8"}}),
        ("DepthwiseConv2D", "groups", 2),
        ("DepthwiseConv2D", "depth_multiplier", 0),
        ("Dense", "units", 1.5),
        ("BatchNormalization", "axis", 4),
        ("BatchNormalization", "axis", 0),
        ("BatchNormalization", "axis", [1, 2]),
        ("ReLU", "negative_slope", "0.1"),
        ("ReLU", "max_value", -1.0),
        ("ReLU", "max_value", "6"),
        ("Softmax", "axis", [1, 2]),
        ("Activation", "activation", "hard_sigmoids"),
        ("Activation", "activation", ["relu"]),
        ("MaxPooling2D", "padding", "full"),
        ("MaxPooling2D", "pool_size", [2]),
        ("GlobalAveragePooling2D", "keepdims", 2),
        ("ZeroPadding2D", "padding", [[1, 1], [1]]),
        ("ZeroPadding2D", "padding", -1),
        ("ZeroPadding2D", "padding", [[1, "1"], [1, 1]]),
        ("Reshape", "target_shape", [3, -1]),
        ("Reshape", "target_shape", [-1, -1]),
        ("Reshape", "target_shape", [0, -1]),
        ("Reshape", "target_shape", [31]),
        ("Flatten", "data_format", 1),
        ("LayerNormalization", "rms_scaling", True),
        ("LayerNormalization", "axis", [1, 1]),
        ("GroupNormalization", "groups", 3),
        ("GroupNormalization", "groups", 0),
        ("Permute", "dims", [1, 2]),
        ("Cropping2D", "cropping", [[2, 2], [0, 0]]),
        ("Cropping2D", "cropping", [[1, -1], [0, 0]]),
        ("UpSampling2D", "interpolation", "bicubic"),
        ("UpSampling2D", "size", 0),
        ("Resizing", "interpolation", "lanczos3"),
        ("Resizing", "antialias", True),
        ("Resizing", "pad_to_aspect_ratio", True),
        ("Normalization", "mean", [1.0, 2.0, 3.0]),
        ("Normalization", "mean", ["1"]),
        ("Rescaling", "scale", [1.0, 2.0, 3.0]),
        ("Rescaling", "scale", "2"),
        ("LeakyReLU", "alpha", "steep"),
        ("LeakyReLU", "alpha", float("nan")),
        ("PReLU", "shared_axes", [1, 9]),
        ("Conv2DTranspose", "padding", "causal"),
        ("Conv2DTranspose", "output_padding", [1, 1]),
        ("EinsumDense", "equation", "abcd,de->abce->"),
        ("EinsumDense", "equation", "abcd,bd->abc"),
        ("EinsumDense", "bias_axes", "z"),
        ("EinsumDense", "output_shape", [None]),
    ],
)
def test_what_cannot_be_represented_is_named(tmp_path: Path, class_name: str, option: str, value: Any) -> None:
    base: dict[str, Any] = {
        "Conv2D": CONV,
        "DepthwiseConv2D": {"kernel_size": [1, 1], "use_bias": False},
        "Conv2DTranspose": CONV,
        "Dense": {"units": 2, "use_bias": False},
        "EinsumDense": {"equation": "abcd,de->abce", "output_shape": [4, 4, 3], "bias_axes": "e"},
        "Normalization": {"mean": 0.0, "variance": 1.0},
        "Resizing": {"height": 2, "width": 2},
        "Activation": {"activation": "relu"},
    }.get(class_name, {})
    with pytest.raises(ModelError) as caught:
        one_layer(tmp_path, class_name, {**base, option: value})
    message = str(caught.value)
    assert message.startswith(f"layer 'it' ({class_name}): the option {option!r} is ")
    assert re.search(r"; allowed is .+; .+", message), "what is allowed and what to do"


@pytest.mark.parametrize(
    ("class_name", "options", "attrs"),
    [
        ("ZeroPadding2D", {"padding": 1}, {"pads": [1, 1, 1, 1]}),
        ("ZeroPadding2D", {"padding": [1, 2]}, {"pads": [1, 2, 1, 2]}),
        ("ZeroPadding2D", {"padding": [[1, 2], [3, 4]]}, {"pads": [1, 3, 2, 4]}),
        ("MaxPooling2D", {"pool_size": 2, "strides": None},
         {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0] * 4}),
        ("ReLU", {"max_value": 6.0}, {"min": 0.0, "max": 6.0}),
        # how Keras 2.2 writes a NumPy scalar
        ("ReLU", {"max_value": {"type": "ndarray", "value": 1.0}, "negative_slope": {"type": "ndarray", "value": 0.0}},
         {"min": 0.0, "max": 1.0}),
        ("Activation", {"activation": {"module": "keras.activations", "class_name": "function", "config": "relu6"}},
         {"min": 0.0, "max": 6.0}),
        ("Reshape", {"target_shape": [-1, 8]}, {"shape": [4, 8]}),
        ("GlobalMaxPooling2D", {"keepdims": True}, {"keepdims": True}),
        ("Softmax", {"axis": 3}, {}),
        ("Dropout", {"rate": 0.25, "noise_shape": None, "seed": 3}, {"ratio": 0.25}),
        ("Conv2D",
         {**CONV, "padding": "same", "kernel_initializer": {"class_name": "Zeros"}, "quantization_config": None},
         {"strides": [1, 1], "pads": [0] * 4, "dilations": [1, 1], "group": 1}),
    ],
)  # fmt: skip
def test_options_become_attributes(tmp_path: Path, class_name: str, options: Any, attrs: Any) -> None:
    (node,) = one_layer(tmp_path, class_name, options).nodes
    assert ops.attrs_to_dict(node.attrs) == attrs


@pytest.mark.parametrize(
    "class_name", ["ConvLSTM2D", "Conv3D", "Hashing", "TFOpLambda", "my_package>Dense", "Sequential2", "OPS"]
)
def test_other_classes_are_refused_by_name(tmp_path: Path, class_name: str) -> None:
    with pytest.raises(ModelError, match=rf"layer 'it' \({re.escape(class_name)}\): .*; ?.*re(build|place)"):
        one_layer(tmp_path, class_name, {})


@pytest.mark.parametrize("origin", [{"module": "my.layers"}, {"module": None, "registered_name": "mine>Dense"}])
def test_a_custom_class_with_a_kerass_name_is_refused(tmp_path: Path, origin: Any) -> None:
    model = sequential(image_input("x", 2), layer("Flatten", "it"))
    model["config"]["layers"][1] |= origin
    with pytest.raises(ModelError, match=r"layer 'it' \(Flatten\): this class cannot be represented"):
        keras.load(kf.write(tmp_path / "model.h5", model))


def test_a_lambda_is_refused_and_its_bytecode_never_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import base64

    code = base64.b64encode(marshal.dumps(compile("1/0", "evil", "exec"))).decode()
    options = {"function": [code, None, None], "function_type": "lambda", "arguments": {}}
    with pytest.raises(ModelError):  # imports whatever loading needs, so that only the loading is watched below
        one_layer(tmp_path, "Lambda", options)
    decoded: list[Any] = []
    for module, name in ((marshal, "loads"), (marshal, "load"), (pickle, "loads"), (pickle, "load")):
        monkeypatch.setattr(module, name, lambda *args, **_: decoded.append(args))
    with pytest.raises(ModelError, match=r"layer 'it' \(Lambda\): .*bytecode.*never executed.*replace it"):
        one_layer(tmp_path, "Lambda", options)
    assert not decoded


def test_the_importers_know_no_way_to_run_code() -> None:
    for path in Path(keras.__file__).parents[1].rglob("*.py"):
        assert not re.search(
            r"\b(marshal|pickle|(?<!model\.)eval|exec|__import__|(?<!re\.)compile)\b *[(.]", path.read_text()
        ), path


@pytest.mark.parametrize("shape", [(None, None, 3), (4, None, 3), (0, 4, 3)])
def test_unknown_sizes_are_refused_with_a_remedy(tmp_path: Path, shape: Any) -> None:
    model = sequential(image_input("x", *shape), layer("GlobalMaxPooling2D", "it"))
    with pytest.raises(
        ModelError, match=r"layer 'x' \(InputLayer\): .*sizes are all known; say .*input_shapes=\{'x': "
    ):
        keras.load(kf.write(tmp_path / "model.h5", model))


def test_unknown_sizes_can_be_given(tmp_path: Path) -> None:
    model = sequential(image_input("x", None, 4, None), layer("GlobalMaxPooling2D", "it"))
    path = kf.write(tmp_path / "model.h5", model)
    assert keras.load(path, input_shapes={"x": (5, 4, 3)}).inputs[0].shape == (5, 4, 3)
    with pytest.raises(ModelError, match=r"'batch_input_shape' is \[None, None, 4, None\]; .*that \(5, 6, 3\) fits"):
        keras.load(path, input_shapes={"x": (5, 6, 3)})
    with pytest.raises(ModelError, match="that \\(5, 4\\) fits"):
        keras.load(path, input_shapes={"x": (5, 4)})
    with pytest.raises(ModelError, match="sizes are all known"):
        keras.load(path, input_shapes={"x": (5, 4, 0)})
    with pytest.raises(OptionError, match=r"the name 'y'; the inputs are 'x'"):
        keras.load(path, input_shapes={"x": (5, 4, 3), "y": (1,)})


def test_the_shape_that_a_model_does_not_say_can_be_given(tmp_path: Path) -> None:
    path = kf.write(tmp_path / "model.h5", sequential(layer("Flatten", "it")))
    assert keras.load(path, input_shapes={"it_input": (2, 3)}).inputs[0].shape == (2, 3)


def test_a_model_without_an_input_shape_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"layer 'it' .*what shape its input has; say it"):
        keras.load(kf.write(tmp_path / "model.h5", sequential(layer("Flatten", "it"))))


@pytest.mark.parametrize(("option", "value"), [("dtype", "string"), ("sparse", True), ("ragged", True)])
def test_inputs_other_than_plain_numbers_are_refused(tmp_path: Path, option: str, value: Any) -> None:
    place = image_input("x", 4)
    place["config"][option] = value
    with pytest.raises(ModelError, match=rf"layer 'x' \(InputLayer\): the option '{option}' is {value!r}"):
        keras.load(kf.write(tmp_path / "model.h5", sequential(place, layer("Flatten", "it"))))


def test_calls_that_are_no_inference_are_refused(tmp_path: Path) -> None:
    dropout = layer("Dropout", "it", ["x"], rate=0.5)
    model = functional([image_input("x", 4), dropout], ["x"], ["it"])
    dropout["inbound_nodes"][0][0][3]["training"] = False
    assert len(keras.load(kf.write(tmp_path / "model.h5", model)).nodes) == 1
    dropout["inbound_nodes"][0][0][3]["training"] = True
    with pytest.raises(ModelError, match=r"layer 'it' \(Dropout\): it is called with training=True"):
        keras.load(kf.write(tmp_path / "model.h5", model))


@pytest.mark.parametrize(
    ("class_name", "options", "inbound"),
    [("Add", {}, ["x"]), ("Concatenate", {}, ["x"]), ("Flatten", {}, ["x", "x"]), ("Flatten", {}, ["x", "x", "x"])],
)
def test_the_number_of_inputs_must_fit(tmp_path: Path, class_name: str, options: Any, inbound: Any) -> None:
    model = functional([image_input("x", 4), layer(class_name, "it", inbound, **options)], ["x"], ["it"])
    with pytest.raises(ModelError, match=rf"layer 'it' \({class_name}\): it is called on {len(inbound)} inputs"):
        keras.load(kf.write(tmp_path / "model.h5", model))


@pytest.mark.parametrize(("axis", "position"), [(-1, 3), (3, 3), (1, 1), (-3, 1), (0, None), (4, None), (-4, None)])
def test_the_axis_of_a_concatenation_counts_the_batch(tmp_path: Path, axis: int, position: int | None) -> None:
    model = functional([image_input("x", 2, 2, 2), layer("Concatenate", "it", ["x", "x"], axis=axis)], ["x"], ["it"])
    path = kf.write(tmp_path / "model.h5", model)
    if position is None:
        with pytest.raises(ModelError, match=r"layer 'it' \(Concatenate\): the option 'axis'"):
            keras.load(path)
    else:
        assert keras.load(path).nodes[0].attrs.axis == position


def test_shapes_that_do_not_fit_name_the_layer(tmp_path: Path) -> None:
    layers = [image_input("x", 2), image_input("z", 3), layer("Add", "it", ["x", "z"])]
    with pytest.raises(ModelError, match=r"layer 'it' \(Add\): "):
        keras.load(kf.write(tmp_path / "model.h5", functional(layers, ["x", "z"], ["it"])))


def test_the_backend_that_flips_its_kernels_is_refused(tmp_path: Path) -> None:
    model = sequential(image_input("x", 2), layer("Flatten", "it"))

    def spoil(file: Any) -> None:
        file.attrs["backend"] = "theano"

    with pytest.raises(ModelError, match="save it again"):
        keras.load(kf.write(tmp_path / "model.h5", model, keras_version="2.1.0", spoil=spoil))
