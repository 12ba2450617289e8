"""Compress trained neural networks, verify them, and export C for microcontrollers.

>>> import refcompress
>>> refcompress.__version__.count(".")
2

Everything named in ``__all__`` is imported when it is first asked for, so that ``import refcompress`` costs
next to nothing and brings in neither numba, h5py nor scipy.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from refcompress.version import __version__

if TYPE_CHECKING:
    from refcompress import (
        analysis,
        encodings,
        errors,
        formats,
        integer,
        methods,
        ops,
        passes,
        post_training,
        recipe,
        train,
        verify,
    )
    from refcompress.compress import compress
    from refcompress.deep_compression import deep_compression
    from refcompress.formats import load, load_integer, load_weights, save
    from refcompress.gradients import gradients
    from refcompress.graph import Graph, Node, TensorSpec
    from refcompress.post_training import quantize_network
    from refcompress.run import run, run_all, run_exact, run_exact_all

_MODULES = (
    "analysis",
    "encodings",
    "errors",
    "formats",
    "integer",
    "methods",
    "ops",
    "passes",
    "post_training",
    "recipe",
    "train",
    "verify",
)
_NAMES = {
    "Graph": "refcompress.graph",
    "Node": "refcompress.graph",
    "TensorSpec": "refcompress.graph",
    "compress": "refcompress.compress",
    "deep_compression": "refcompress.deep_compression",
    "gradients": "refcompress.gradients",
    "load": "refcompress.formats",
    "load_integer": "refcompress.formats",
    "load_weights": "refcompress.formats",
    "quantize_network": "refcompress.post_training",
    "run": "refcompress.run",
    "run_all": "refcompress.run",
    "run_exact": "refcompress.run",
    "run_exact_all": "refcompress.run",
    "save": "refcompress.formats",
}

__all__ = [
    "Graph",
    "Node",
    "TensorSpec",
    "__version__",
    "analysis",
    "compress",
    "deep_compression",
    "encodings",
    "errors",
    "formats",
    "gradients",
    "integer",
    "load",
    "load_integer",
    "load_weights",
    "methods",
    "ops",
    "passes",
    "post_training",
    "quantize_network",
    "recipe",
    "run",
    "run_all",
    "run_exact",
    "run_exact_all",
    "save",
    "train",
    "verify",
]


class _Package(ModuleType):
    """The package, in which ``refcompress.run`` is the function although a submodule has that name too."""

    def __setattr__(self, name: str, value: object) -> None:
        # importing a submodule sets it as an attribute here; without this, whether `refcompress.run` can be
        # called would depend on who imported `refcompress.run` before
        if not (name in _NAMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return import_module(f"refcompress.{name}")
    if name not in _NAMES:
        raise AttributeError(f"module 'refcompress' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
