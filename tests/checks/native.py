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

STATUS = ["OK", "NULL", "ALIGNMENT", "MAGIC", "VERSION", "SIZE", "CRC", "STEP", "BUFFER", "TENSOR", "CODE", "STREAM"]
ELEMENTARY = ("exp", "expm1", "sigmoid", "tanh", "erf", "log", "log1p", "softplus", "sqrt")
GUARD = np.float32(-12345.678)


@cache
def library() -> ctypes.CDLL:
    """Build and load the runtime; skips where there is no gcc."""
    targets.require(targets.GCC)
    files = runtime.files_for(runtime.C_SOURCES, image=True)
    with tempfile.TemporaryDirectory() as folder:
        loaded = ctypes.CDLL(str(targets.shared_library(files, Path(folder))))
    loaded.rc_check.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    loaded.rc_arena_bytes.argtypes = (ctypes.c_void_p,)
    loaded.rc_arena_bytes.restype = ctypes.c_uint32
    for name in ELEMENTARY:
        function = getattr(loaded, f"rc_{name}f")
        function.argtypes, function.restype = (ctypes.c_float,), ctypes.c_float
    return loaded


def status_of(image: bytes, *, size: int | None = None) -> str:
    """Name of what rc_check says of an image, aligned as it must be."""
    words = np.zeros(len(image) // 4 + 2, np.uint32)
    words.view(np.uint8)[: len(image)] = np.frombuffer(image, np.uint8)
    return STATUS[library().rc_check(words.ctypes.data, len(image) if size is None else size)]


def run_image(
    image: bytes, inputs: Sequence[NDArray[np.float32]], sizes: Sequence[int], arena_bytes: int
) -> list[NDArray[np.float32]]:
    """Run a checked image on one sample; the elements around each buffer must not change."""
    words = np.frombuffer(image, np.uint32).copy()
    sources = [np.ascontiguousarray(x, np.float32).ravel() for x in inputs]
    outputs = [np.full(size + 2, GUARD, np.float32) for size in sizes]
    arena = np.full(arena_bytes // 4 + 2, GUARD, np.float32)
    pointers_in = (ctypes.c_void_p * len(sources))(*(x.ctypes.data for x in sources))
    pointers_out = (ctypes.c_void_p * len(outputs))(*(y[1:].ctypes.data for y in outputs))
    status = library().rc_run(
        ctypes.c_void_p(words.ctypes.data), pointers_in, pointers_out, ctypes.c_void_p(arena[1:].ctypes.data)
    )
    assert STATUS[status] == "OK"
    for guarded in (*outputs, arena):
        assert guarded[0] == GUARD
        assert guarded[-1] == GUARD
    return [y[1:-1] for y in outputs]


def check_image(graph: Graph, inputs: Sequence[NDArray[np.float32]], *, max_table_bits: int = 10) -> bytes:
    """Export a flash image, check it, run it in this process and compare every bit with the reference."""
    image = exporters.blob.export(graph, prefix="net", max_table_bits=max_table_bits)["net.bin"]
    assert status_of(image) == "OK"
    expected = refcompress.run_exact(graph, inputs)
    arena_bytes = int.from_bytes(image[16:20], "little")
    for sample in range(len(expected[0])):
        wanted = [np.asarray(y[sample], np.float32).ravel() for y in expected]
        found = run_image(image, [x[sample] for x in inputs], [y.size for y in wanted], arena_bytes)
        for name, a, b in zip(graph.outputs, found, wanted, strict=True):
            assert_same_bits(a, b, f"output {name} of sample {sample}")
    return image
