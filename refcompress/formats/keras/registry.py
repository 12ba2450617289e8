"""Layers of other people's: what a user says is built for a class that the importers do not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from refcompress.errors import OptionError

if TYPE_CHECKING:
    from refcompress.formats.keras.call import Call

Build = Callable[["Call"], "str | tuple[str, ...]"]

_BUILDERS: dict[tuple[str, str | None], Build] = {}


def register_layer(class_name: str, build: Build, *, layer_name: str | None = None) -> None:
    """Say what a custom layer of Keras becomes; imports after this use it.

    Nothing in a file is ever executed, so custom classes and Lambda layers are refused until somebody supplies what
    they compute.

    Parameters
    ----------
    class_name
        The class as the file names it: ``"Lambda"``, ``"MyLayer"`` or ``"my_package>MyLayer"``. It goes before a class
        of Keras with the same name.
    build
        Called with a :class:`refcompress.formats.keras.call.Call` for each call of such a layer; returns the
        activation it makes, or a tuple of several. The call has the layer's options (``call.layer.config``), its
        inputs (``call.inputs``, names of activations, and ``call.shapes``), reads weights (``call.param(name, roles,
        shape)``, in the order in which the layer creates them), adds constants (``call.constant(name, array)``) and
        nodes (``call.emit(operator, attributes, params)``; ``call.then(activation, part=name)`` is the next step).
    layer_name
        Only the layer of this name; by default all of the class.

    Raises
    ------
    OptionError
        ``build`` cannot be called.

    Examples
    --------
    A layer of the class ``Gain``, which multiplies with one trained number:

    >>> import json, tempfile
    >>> from pathlib import Path
    >>> import h5py, numpy as np
    >>> import refcompress
    >>> def build_gain(call):
    ...     return call.emit("Affine", params={"scale": call.param("gain", ["gain"], (1,))})
    >>> register_layer("Gain", build_gain)
    >>> layers = [
    ...     {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": [None, 2]}},
    ...     {"class_name": "Gain", "config": {"name": "louder", "unit": "dB"}},
    ... ]
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     path = Path(directory, "model.h5")
    ...     with h5py.File(path, "w") as file:
    ...         model = {"class_name": "Sequential", "config": {"name": "s", "layers": layers}}
    ...         file.attrs["model_config"] = json.dumps(model)
    ...         group = file.create_group("model_weights")
    ...         group.attrs["layer_names"] = ["louder"]
    ...         group.create_group("louder").attrs["weight_names"] = ["louder/gain:0"]
    ...         group["louder/louder/gain:0"] = np.array([2.0], np.float32)
    ...     graph = refcompress.load(path)
    >>> refcompress.run(graph, np.array([[1.0, 3.0]]))[0]
    array([[2., 6.]], dtype=float32)

    """
    if not callable(build):
        raise OptionError(f"build is {build!r:.60}; give a function of a call that returns an activation's name")
    _BUILDERS[class_name, layer_name] = build


def registered(class_name: str, layer_name: str, registered_name: str = "") -> Build | None:
    """Return what was registered for a layer; for its own name first, then for its class.

    Parameters
    ----------
    class_name, layer_name
        Of the layer.
    registered_name
        Under which its class was registered in Keras, as ``"my_package>MyLayer"``; "" if there is none.

    """
    names = [name for name in (registered_name, class_name) if name]
    keys = [(name, own) for own in (layer_name, None) for name in names]
    return next((_BUILDERS[key] for key in keys if key in _BUILDERS), None)
