"""The argument MODEL that most commands begin with, and how its file becomes a network."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from refcompress.cli.reference import reference_module
from refcompress.errors import OptionError, did_you_mean

if TYPE_CHECKING:
    from refcompress.graph import Graph
    from refcompress.integer import IntegerNetwork


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare MODEL and the options that say what its file does not."""
    parser.add_argument(
        "model", metavar="MODEL", help="Keras checkpoint (.h5, .keras, .weights.h5), .onnx, .rcz or int8 .tflite"
    )
    parser.add_argument(
        "--architecture",
        metavar="A",
        help="for files of weights only: a Keras configuration (model.to_json()) or whole model as a file, or the name "
        "of a network of reference_models (lenet-300-100, lenet-5)",
    )
    parser.add_argument(
        "--input-shape",
        metavar="NAME=H,W,C",
        action="append",
        default=[],
        help="the shape of an input whose sizes the file leaves open; may be given several times",
    )
    parser.add_argument(
        "--no-batch",
        dest="batched",
        action="store_false",
        help="for ONNX models whose inputs have no batch axis: all of each is one sample",
    )


def load_model(args: argparse.Namespace) -> Graph:
    """Load the network that the arguments of :func:`add_model` describe.

    Raises
    ------
    OptionError
        An option is malformed, or there is no such file.
    FormatError, ModelError
        As :func:`refcompress.formats.load`.

    """
    from refcompress import formats

    shapes = dict(_input_shape(text) for text in args.input_shape)
    if args.architecture is None or Path(args.architecture).exists():
        return formats.load(
            args.model, architecture=args.architecture, input_shapes=shapes or None, batched=args.batched
        )
    if shapes:
        raise OptionError("--input-shape is for networks whose sizes are open; those of reference_models have theirs")
    if not args.batched:
        raise OptionError("--no-batch is for ONNX models; leave it out")
    return formats.load_weights(_named(args.architecture), args.model)


def load_any(args: argparse.Namespace) -> Graph | IntegerNetwork:
    """Load the network, of real numbers or of integers, that the arguments of :func:`add_model` describe.

    Raises
    ------
    OptionError, FormatError, ModelError
        As :func:`load_model`, and where an option is given that integer networks do not take.

    """
    if not is_integer_model(args.model):
        return load_model(args)
    from refcompress import formats

    if args.architecture is not None or args.input_shape:
        raise OptionError(
            f"{args.model} is an integer network, which is whole: leave --architecture and --input-shape out"
        )
    return formats.load_integer(args.model)


def is_integer_model(path: str) -> bool:
    """Whether a file holds an integer network, told by its content; False if it cannot be read."""
    from refcompress import formats

    try:
        return formats.holds_integers(path)
    except OptionError:
        return False


def _named(name: str) -> Graph:
    import numpy as np

    networks = reference_module("reference_models.reproduce", "the networks of reference_models are").NETWORKS
    if name not in networks:
        raise OptionError(
            f"--architecture {name!r} is no file and no network{did_you_mean(name, networks)}; give a file, or one of "
            f"{', '.join(networks)}"
        )
    graph: Graph = networks[name].build(np.random.default_rng(0))
    return graph


def _input_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """Read ``NAME=H,W,C``.

    >>> _input_shape("image=96,96,3")
    ('image', (96, 96, 3))
    """
    name, _, sizes = text.rpartition("=")
    parts = sizes.split(",")
    if not name or not all(part.isascii() and part.isdigit() and 0 < int(part[:10]) < 2**31 for part in parts):
        raise OptionError(
            f"--input-shape {text!r}; give the input's name and its sizes without the batch: image=224,224,3"
        )
    return name, tuple(map(int, parts))
