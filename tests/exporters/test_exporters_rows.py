"""Rows of layers that run row by row: the runtime plays random layers, and every row read must still be there."""

from __future__ import annotations

import ctypes
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from checks import targets
from hypothesis import given
from hypothesis import strategies as st

from exporters import runtime
from exporters.program import RowLayer, Step
from exporters.rows import Plane, least_rows, next_plane, row_layer, with_windows

INPUT = 0xFFFF
ROW = np.dtype("<u4,<u4")  # which layer made it, and which row it is


class _Layer(ctypes.Structure):
    _fields_ = (
        ("descriptor", ctypes.c_void_p),
        *((name, ctypes.c_uint32) for name in ("out_row", "at")),
        *((name, ctypes.c_uint16) for name in ("kept", "in_h", "out_h", "kernel_h", "stride_h", "pad_top")),
        *((name, ctypes.c_uint16) for name in ("source", "other")),
    )


class _Strips(ctypes.Structure):
    _fields_ = (
        ("layers", ctypes.c_void_p),
        ("n_layers", ctypes.c_uint32),
        ("input", ctypes.c_void_p),
        ("in_row", ctypes.c_uint32),
        *((name, ctypes.c_void_p) for name in ("output", "memory", "state")),
        ("layer", ctypes.c_uint32),
        *((name, ctypes.c_void_p) for name in ("descriptor", "x", "other", "y")),
        *((name, ctypes.c_uint32) for name in ("in_h", "pad_top")),
    )


@cache
def _library() -> ctypes.CDLL:
    targets.require(targets.GCC)
    with tempfile.TemporaryDirectory() as folder:
        return ctypes.CDLL(str(targets.shared_library(runtime.files_for(["strips"]), Path(folder))))


def _tags(pointer: int, rows: int) -> list[tuple[int, int]]:
    cells = (ctypes.c_uint32 * (2 * rows)).from_address(pointer)
    return [(cells[2 * i], cells[2 * i + 1]) for i in range(rows)]


def _play(layers: tuple[RowLayer, ...], memory_bytes: int, *, guards: bool = False) -> list[list[int]]:
    """Run the layers; a row made holds its name. Return the rows that each layer made."""
    in_h = next(layer.in_h for layer in layers if -1 in layer.sources)
    source = np.array([(INPUT, row) for row in range(in_h)], ROW)
    output = np.zeros(layers[-1].out_h, ROW)
    memory = np.full(memory_bytes // 4 + 1, 0xEEEEEEEE, np.uint32)
    table = (_Layer * len(layers))()
    for found, layer in zip(table, layers, strict=True):
        found.out_row, found.at, found.kept = 8, layer.at, layer.kept
        found.in_h, found.out_h, found.kernel_h = layer.in_h, layer.out_h, layer.kernel_h
        found.stride_h, found.pad_top = layer.stride_h, layer.pad_top
        found.source, found.other = (INPUT if k < 0 else k for k in (layer.sources[0], layer.sources[-1]))
    strips = _Strips()
    x, y, ram = (ctypes.c_void_p(array.ctypes.data) for array in (source, output, memory))
    _library().rc_strips_open(ctypes.byref(strips), table, len(layers), x, 8, y, ram)
    made: list[list[int]] = [[] for _ in layers]
    while _library().rc_strips_next(ctypes.byref(strips)):
        layer, row = layers[strips.layer], len(made[strips.layer])
        under = range(row * layer.stride_h - layer.pad_top, row * layer.stride_h - layer.pad_top + layer.kernel_h)
        inside = [r for r in under if 0 <= r < layer.in_h]
        assert strips.in_h == len(inside)
        assert strips.pad_top == sum(r < 0 for r in under)
        for k, pointer in zip((layer.sources[0], layer.sources[-1]), (strips.x, strips.other), strict=True):
            assert _tags(pointer, len(inside)) == [(INPUT if k < 0 else k, r) for r in inside]
        cells = (ctypes.c_uint32 * 2).from_address(strips.y)
        cells[0], cells[1] = strips.layer, row
        made[strips.layer].append(row)
    assert output.tolist() == [(len(layers) - 1, row) for row in range(len(output))]
    assert memory[-1] == 0xEEEEEEEE
    assert not guards or all(memory[layer.at // 4 - 1] == 0xEEEEEEEE for layer in layers[1:])
    return made


@st.composite
def layers_of_rows(draw: st.DrawFn) -> tuple[RowLayer, ...]:
    """Windows over what was made before, and sums of two planes of one height."""
    heights = [draw(st.integers(1, 12))]
    layers: list[RowLayer] = []
    for i in range(draw(st.integers(1, 7))):
        source = draw(st.integers(max(-1, i - 3), i - 1))
        in_h = heights[source + 1]
        twins = [k for k in range(-1, i) if heights[k + 1] == in_h]
        if draw(st.booleans()):
            sources, window = (source, draw(st.sampled_from(twins))), (1, 1, 0)
            out_h = in_h
        else:
            kernel, stride = draw(st.integers(1, 4)), draw(st.integers(1, 3))
            top, bottom = draw(st.integers(0, kernel - 1)), draw(st.integers(0, kernel - 1))
            bottom += max(kernel - in_h - top - bottom, 0)
            out_h = (in_h + top + bottom - kernel) // stride + 1
            while (out_h - 1) * stride - top >= in_h:
                out_h -= 1
            sources, window = (source,), (kernel, stride, top)
        layers.append(RowLayer(Step("s", f"s{i}", (), f"a{i}"), sources, in_h, out_h, 8, 8, *window))
        heights.append(out_h)
    return tuple(layers)


@given(layers_of_rows())
def test_every_row_read_is_there_and_the_output_is_whole(layers: tuple[RowLayer, ...]) -> None:
    found, memory_bytes = with_windows(layers)
    made = _play(found, memory_bytes)
    for layer, rows in zip(found, made, strict=True):
        assert rows == list(range(len(rows)))  # each once
        assert len(rows) <= layer.out_h


@given(layers_of_rows())
def test_no_layer_keeps_a_row_more_than_it_must(layers: tuple[RowLayer, ...]) -> None:
    found, _ = with_windows(layers)
    _play(_spread(found), _spread(found)[-1].at, guards=True)
    for i, layer in enumerate(found[:-1]):
        if layer.kept:
            fewer = _spread((*found[:i], replace(layer, kept=layer.kept - 1), *found[i + 1 :]))
            room = fewer[-1].at + 8 * sum(layer.out_h for layer in layers)  # for all that may go too far
            with pytest.raises(AssertionError):
                _play(fewer, room, guards=True)


def _spread(layers: tuple[RowLayer, ...]) -> tuple[RowLayer, ...]:
    """Leave a row free behind those of each layer."""
    at, found = 8 * len(layers), []
    for layer in layers:
        found.append(replace(layer, at=at))
        at += 8 * (layer.kept + 1)
    return tuple(found)


@given(layers_of_rows())
def test_the_bound_of_rows_holds(layers: tuple[RowLayer, ...]) -> None:
    found, _ = with_windows(layers)
    read = {k for layer in layers for k in layer.sources}
    for layer in layers:
        assert 1 <= least_rows(layer) <= layer.in_h
    if read == set(range(-1, len(layers) - 1)) and all(len(layer.sources) == 1 for layer in layers):  # a chain
        for k, reader in enumerate(layers[1:]):
            assert least_rows(reader) <= found[k].kept


def test_what_cannot_run_row_by_row() -> None:
    plane = Plane(8, 8, 4)
    window = {"in_h": 8, "in_w": 8, "in_channels": 4, "out_h": 8, "out_w": 8, "out_channels": 6, "kernel_h": 3}
    window |= {"kernel_w": 3, "stride_h": 1, "stride_w": 1, "pad_top": 1, "pad_left": 1, "dilation_h": 1, "group": 1}
    conv = Step("q_conv_pixels", "c", ("x",), "y", window)
    assert next_plane(conv, [plane]) == Plane(8, 8, 6)
    assert next_plane(conv, [Plane(4, 16, 4)]) is None  # another plane of the same size
    assert next_plane(conv, [None]) is None
    narrow = Step("q_conv_pixels", "c", ("x",), "y", {**window, "out_w": 3})
    assert next_plane(narrow, [plane]) is None
    above = Step("q_conv_pixels", "c", ("x",), "y", {**window, "pad_top": 3})
    assert next_plane(above, [plane]) is None  # a window that lies in the padding
    assert next_plane(Step("q_conv_stream", "c", ("x",), "y", window), [plane]) is None
    assert next_plane(Step("add", "a", ("x", "z"), "y", {"n": 256}), [plane, Plane(8, 4, 8)]) is None
    joined = Step("concat", "c", ("x", "z"), "y", {"blocks": 64, "pitch": 6}, parts=(4, 2))
    assert next_plane(joined, [plane, Plane(8, 8, 2)]) == Plane(8, 8, 6)
    assert next_plane(joined, [plane, Plane(4, 16, 2)]) is None
    assert next_plane(joined, [plane, None]) is None
    below = Step("concat", "c", ("x", "z"), "y", {"blocks": 1, "pitch": 512}, parts=(256, 256))
    assert next_plane(below, [plane, plane]) is None  # another axis
    norm = Step("batch_norm", "b", ("x",), "y", {"pixels": 2, "channels": 128})
    assert next_plane(norm, [plane]) is None  # whose vectors span rows


def test_one_long_row_of_pixels_becomes_a_plane_again() -> None:
    flat = {"in_h": 1, "in_w": 48, "in_channels": 4, "out_h": 1, "out_w": 48, "out_channels": 2, "kernel_h": 1}
    flat |= {"kernel_w": 1, "stride_h": 1, "stride_w": 1, "pad_top": 0, "pad_left": 0, "dilation_h": 1, "group": 1}
    step = Step("conv_pixels", "c", ("x",), "y", flat)
    before, after = Plane(6, 8, 4), Plane(6, 8, 2)
    assert next_plane(step, [before]) == after
    layer = row_layer(step, (-1,), before, after, 4)
    assert (layer.in_h, layer.out_h, layer.in_row_bytes, layer.out_row_bytes) == (6, 6, 128, 64)
    assert {key: layer.step.sizes[key] for key in ("in_h", "in_w", "out_h", "out_w")} == {
        "in_h": 6,
        "in_w": 8,
        "out_h": 6,
        "out_w": 8,
    }
