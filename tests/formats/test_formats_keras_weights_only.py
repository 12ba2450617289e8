"""Checkpoints that others published without an architecture: with the one they belong to, they are imported exactly."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from checks import keras_files as kf
from checks.architectures import ARCHITECTURES, cvmcu, meso4
from checks.keras_files import functional, image_input, layer, sequential

from refcompress import formats
from refcompress.encodings import decode
from refcompress.errors import FormatError, ModelError
from refcompress.formats.keras import registry
from refcompress.formats.keras.call import Call
from refcompress.formats.keras.checkpoint import open_checkpoint
from refcompress.formats.keras.weights import open_weights, read, shape_of
from refcompress.verify import compare


def attention_weighted_average(call: Call) -> str:
    """Add the custom layer of textgenrnn: the mean over time, weighted by the softmax of one number a step."""
    steps, features = call.shape
    weight = call.param("W", ["attention_W"], (features, 1))
    scores = call.then(*call.inputs, part="scores").emit("Gemm", params={"weight": weight})
    flat = call.then(scores, part="flat").emit("Reshape", {"shape": (1, steps)})
    shares = call.then(flat, part="shares").emit("Softmax")
    mean = call.then(shares, *call.inputs, part="mean").emit("MatMul")
    return call.then(mean, part="squeezed").emit("Reshape", {"shape": (features,)})


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_published_weights_give_their_reference_outputs(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(registry, "_BUILDERS", {})
    registry.register_layer("AttentionWeightedAverage", attention_weighted_average)
    graph = formats.load(shared_data / "h5" / name, architecture=ARCHITECTURES[name]())
    with np.load(shared_data / "h5_ref" / f"{name}.npz") as file:
        verdict = compare(graph, {key: array[:2] for key, array in file.items()}, reference="k2")
    assert verdict.within, verdict


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_published_weights_alone_are_refused_saying_what_is_missing(shared_data: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"holds weights only.*give it: load\(path, architecture="):
        formats.load(shared_data / "h5" / name)


def test_a_layer_that_the_file_does_not_name_is_refused(shared_data: Path) -> None:
    text = json.dumps(meso4()).replace("conv2d_5", "first")
    with pytest.raises(ModelError, match=r"layer 'first' has weights, and the file holds none .*'conv2d_5'"):
        formats.load(shared_data / "h5" / "Meso4_DF_weights.h5", architecture=text)


def test_layers_of_other_names_are_refused_unless_keras_made_the_names(shared_data: Path) -> None:
    path = shared_data / "h5" / "cvmcu_model.weights.h5"
    text = json.dumps(cvmcu())
    same = formats.load(path, architecture=text)
    counted_on = formats.load(
        path, architecture=text.replace('"conv2d_1"', '"conv2d_8"').replace('"conv2d"', '"conv2d_7"')
    )
    for old, new in (("conv2d", "conv2d_7"), ("conv2d_1", "conv2d_8"), ("dense_1", "dense_1")):
        np.testing.assert_array_equal(decode(same.params[f"{old}/kernel"]), decode(counted_on.params[f"{new}/kernel"]))
    with pytest.raises(ModelError, match=r"called \['conv2d', 'conv2d_1'\], the architecture \['first', 'conv2d_1'\]"):
        formats.load(path, architecture=text.replace('"conv2d"', '"first"'))


def test_weights_of_every_number_type_are_widened(tmp_path: Path) -> None:
    values = np.array([[1.0, -2.5, 0.0], [3.0e-5, 7.0, -0.5]], np.float32)
    brain = (values.view(np.uint32) >> 16).astype(np.uint16)
    path = tmp_path / "x.weights.h5"
    kinds = {
        "half": values.astype(np.float16),
        "double": values.astype(np.float64),
        "swapped": values.astype(">f4"),
        "brain": brain.view("V2"),
    }
    with h5py.File(path, "w") as file:
        for number, (name, array) in enumerate(kinds.items()):
            group = file.create_group(f"layers/dense_{number}/vars" if number else "layers/dense/vars")
            group.attrs["name"] = name
            group["0"] = array
            if name == "brain":  # as Keras marks it
                group["0"].attrs["dtype"] = "bfloat16"
    dense = [layer("Dense", name, ["x"], units=3, use_bias=False) for name in kinds]
    graph = formats.load(path, architecture=functional([image_input("x", 2), *dense], ["x"], list(kinds)))
    np.testing.assert_array_equal(decode(graph.params["half/kernel"]), values.astype(np.float16))
    np.testing.assert_array_equal(decode(graph.params["double/kernel"]), values)
    np.testing.assert_array_equal(decode(graph.params["swapped/kernel"]), values)
    wide = (brain.astype(np.uint32) << 16).view(np.float32)
    np.testing.assert_array_equal(decode(graph.params["brain/kernel"]), wide)


def test_bytes_that_nobody_calls_bfloat16_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = np.zeros((3, 2), "V2")
    with pytest.raises(ModelError, match="is of type"):
        formats.load(path, architecture=sequential(image_input("x", 3), layer("Dense", "d", units=2, use_bias=False)))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, 70_000, 262_143])
def test_no_value_that_is_not_finite_is_overlooked(tmp_path: Path, bad: float, place: int) -> None:
    kernel = np.ones((512, 512), np.float32)
    kernel.reshape(-1)[place] = bad
    model = sequential(image_input("x", 512), layer("Dense", "d", units=512, use_bias=False))
    path = kf.write(tmp_path / "x.h5", model, {"d": {"d/kernel:0": kernel}})
    with pytest.raises(ModelError, match="holds NaN or infinity"):
        formats.load(path)


def test_values_whose_squares_overflow_are_finite(tmp_path: Path) -> None:
    kernel = np.full((4, 4), 3e38, np.float32)
    model = sequential(image_input("x", 4), layer("Dense", "d", units=4, use_bias=False))
    path = kf.write(tmp_path / "x.h5", model, {"d": {"d/kernel:0": kernel}})
    np.testing.assert_array_equal(decode(formats.load(path).params["d/kernel"]), kernel)


def test_an_array_after_a_user_block_is_found(tmp_path: Path) -> None:
    kernel = np.arange(12, dtype=np.float32).reshape(4, 3)
    model = sequential(image_input("x", 4), layer("Dense", "d", units=3, use_bias=False))
    plain = kf.write(tmp_path / "plain.h5", model, {"d": {"d/kernel:0": kernel}})
    path = tmp_path / "x.h5"
    path.write_bytes(bytes(2048) + plain.read_bytes())
    np.testing.assert_array_equal(decode(formats.load(path).params["d/kernel"]), kernel)


def test_names_that_share_their_values_are_no_way_to_more_bytes_than_the_file_has(tmp_path: Path) -> None:
    size, names = 64, [f"d{number}" for number in range(40)]
    dense = [layer("Dense", name, units=size, use_bias=False) for name in names]
    kernel = np.ones((size, size), np.float32)

    def never_written(file: h5py.File) -> None:
        for name in names[1:]:
            group = file[f"model_weights/{name}/{name}"]
            del group["kernel:0"]
            group.create_dataset("kernel:0", (size, size), np.float32)

    first = {"d0": {"d0/kernel:0": kernel}}
    weights = {**first, **{name: {f"{name}/kernel:0": kernel[:1, :1]} for name in names[1:]}}
    path = kf.write(tmp_path / "x.h5", sequential(image_input("x", size), *dense), weights, spoil=never_written)
    with h5py.File(path) as file:
        offset = file["model_weights/d0/d0/kernel:0"].id.get_offset()
    # each array says where its values stand, and how long they are
    nowhere, somewhere = (
        place + kernel.nbytes.to_bytes(8, "little") for place in (b"\xff" * 8, offset.to_bytes(8, "little"))
    )
    path.write_bytes(path.read_bytes().replace(nowhere, somewhere))
    with pytest.raises(FormatError, match="the weights take more bytes than the file has"):
        formats.load(path)


def test_the_stored_shape_can_be_looked_at_before_reading(tmp_path: Path) -> None:
    model = sequential(image_input("x", 3), layer("Dense", "d", units=2, use_bias=False))
    path = kf.write(tmp_path / "x.h5", model, {"d": {"d/kernel:0": np.ones((3, 2), np.float32)}})
    with open_checkpoint(path) as checkpoint:
        weights = open_weights(checkpoint)
        assert shape_of(weights, ("d",), ["kernel"], index=0) == (3, 2)
        with pytest.raises(ModelError, match="'bias' is missing"):
            shape_of(weights, ("d",), ["bias"], index=1)
        array = read(weights, ("d",), ["kernel"], (3, 2), index=0)
    assert not array.flags.writeable
