"""The runtime as a library of this process: flash images checked and run without compiling anything for each."""

from __future__ import annotations

import ctypes
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from checks import targets
from checks.export import assert_same_bits
from numpy.typing import NDArray

import exporters.blob
import refcompress
from exporters import runtime
from refcompress import Graph
from refcompress.integer import IntegerNetwork, run_integer

Array = NDArray[np.float32] | NDArray[np.int8]
STATUS = ["OK", "NULL", "ALIGNMENT", "MAGIC", "VERSION", "SIZE", "CRC", "STEP", "BUFFER", "TENSOR", "CODE", "STREAM"]
ELEMENTARY = ("exp", "expm1", "sigmoid", "tanh", "erf", "log", "log1p", "softplus", "sqrt")
STATUS.append("ELEMENTS")
GUARDS = {"float32": -12345.678, "int8": 0x5A}
FILES = runtime.files_for(runtime.C_SOURCES) | runtime.image_files(integers=False) | runtime.image_files(integers=True)


@cache
def library() -> ctypes.CDLL:
    """Build and load the runtime; skips where there is no gcc."""
    targets.require(targets.GCC)
    with tempfile.TemporaryDirectory() as folder:
        loaded = ctypes.CDLL(str(targets.shared_library(FILES, Path(folder))))
    loaded.rc_check.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    loaded.rc_q_check.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    loaded.rc_arena_bytes.argtypes = (ctypes.c_void_p,)
    loaded.rc_arena_bytes.restype = ctypes.c_uint32
    for name in ELEMENTARY:
        function = getattr(loaded, f"rc_{name}f")
        function.argtypes, function.restype = (ctypes.c_float,), ctypes.c_float
    return loaded


def status_of(image: bytes, *, size: int | None = None, integers: bool = False) -> str:
    """Name of what the checker of float32 images, or of int8 ones, says of an image, aligned as it must be."""
    words = np.zeros(len(image) // 4 + 2, np.uint32)
    words.view(np.uint8)[: len(image)] = np.frombuffer(image, np.uint8)
    check = library().rc_q_check if integers else library().rc_check
    return STATUS[check(words.ctypes.data, len(image) if size is None else size)]


def run_image(image: bytes, inputs: Sequence[Array], sizes: Sequence[int]) -> list[Array]:
    """Run a checked image on one sample; the elements around each buffer must not change."""
    words = np.frombuffer(image, np.uint32).copy()
    arena_bytes, dtype = int(words[5]), inputs[0].dtype
    guard = dtype.type(GUARDS[dtype.name])
    sources = [np.ascontiguousarray(x).ravel() for x in inputs]
    outputs = [np.full(size + 2, guard) for size in sizes]
    arena = np.full(arena_bytes // dtype.itemsize + 8, guard)
    pointers_in = (ctypes.c_void_p * len(sources))(*(x.ctypes.data for x in sources))
    pointers_out = (ctypes.c_void_p * len(outputs))(*(y[1:].ctypes.data for y in outputs))
    run = library().rc_q_run if dtype == np.int8 else library().rc_run
    status = run(ctypes.c_void_p(words.ctypes.data), pointers_in, pointers_out, ctypes.c_void_p(arena[4:].ctypes.data))
    assert STATUS[status] == "OK"
    for guarded in (*(y[[0, -1]] for y in outputs), arena[:4], arena[-4:]):
        assert (guarded == guard).all()
    return [y[1:-1] for y in outputs]


def check_image(network: Graph | IntegerNetwork, inputs: Sequence[Array], *, max_table_bits: int = 10) -> bytes:
    """Export a flash image, check it, run it in this process and compare every bit with the reference."""
    image = exporters.blob.export(network, prefix="net", max_table_bits=max_table_bits)["net.bin"]
    integers = isinstance(network, IntegerNetwork)
    assert status_of(image, integers=integers) == "OK"
    assert status_of(image, integers=not integers) == "ELEMENTS"
    dtype = np.int8 if integers else np.float32
    arrays = [np.asarray(x, dtype) for x in inputs]
    expected = run_integer(network, arrays, runtime="tflm") if integers else refcompress.run_exact(network, arrays)
    names = network.graph.outputs if integers else network.outputs
    for sample in range(len(expected[0])):
        wanted = [np.asarray(y[sample], dtype).ravel() for y in expected]
        found = run_image(image, [x[sample] for x in arrays], [y.size for y in wanted])
        for name, a, b in zip(names, found, wanted, strict=True):
            if integers:
                np.testing.assert_array_equal(a, b, f"output {name} of sample {sample}")
            else:
                assert_same_bits(a, b, f"output {name} of sample {sample}")
    return image
