"""``refcompress verify`` of an integer model: whose roundings its integers follow, or whether they are in bounds."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from refcompress.cli.arrays import numbered, read_arrays
from refcompress.cli.verify_arrays import activations, with_inputs
from refcompress.errors import OptionError

if TYPE_CHECKING:
    from refcompress.cli.console import Advance
    from refcompress.integer import IntegerNetwork
    from refcompress.verify import Verdict


def compared(args: argparse.Namespace, advance: Advance) -> tuple[Verdict, dict[str, str]]:
    """Return the verdict, and what was compared."""
    from refcompress.formats import load_integer

    if args.precision != "float32":
        raise OptionError(f"--precision {args.precision}; a model of integers has no other precision than its own")
    network = load_integer(args.model)
    if args.framework:
        return _framework(args, network, advance)
    arrays = read_arrays(args.arrays)
    about = {"arrays": args.arrays}
    names = [spec.name for spec in network.graph.inputs]
    if args.inputs:
        about["inputs"] = args.inputs
        arrays = with_inputs(arrays, numbered(read_arrays(args.inputs), "x", names, args.inputs))
    if args.layers:
        return _layers(network, _quantized(network, activations(network.graph, arrays, args.arrays)), advance), about
    return _outputs(args, network, numbered(arrays, "x", names, args.arrays), arrays, advance), about


def _framework(args: argparse.Namespace, network: IntegerNetwork, advance: Advance) -> tuple[Verdict, dict[str, str]]:
    from refcompress.verify.adaptors import tflite_integer as adaptor
    from refcompress.verify.adaptors.tflite import load

    if args.framework != "tflite":
        raise OptionError(f"--framework {args.framework}; an integer model is run by tflite")
    model = load(args.framework_model or args.model)
    about = {"framework": f"tflite {args.framework_model or args.model}"}
    if args.inputs:
        about["inputs"] = args.inputs
        names = [spec.name for spec in network.graph.inputs]
        given = numbered(read_arrays(args.inputs), "x", names, args.inputs)
    else:
        about["inputs"] = f"{args.samples} random samples of seed {args.seed}"
        given = adaptor.random_integers(network, args.samples, seed=args.seed)
    from refcompress.integer.run import check_integers

    inputs = check_integers(network, _quantized(network, given))
    advance("run tflite", 0.0)
    if args.layers:
        return _layers(network, adaptor.capture(model, inputs, network), advance), about
    made = {f"y{i}": array for i, array in enumerate(adaptor.outputs(model, inputs, network))}
    return _outputs(args, network, inputs, made, advance), about


def _quantized(network: IntegerNetwork, arrays: dict[str, Any]) -> dict[str, Any]:
    """Make integers of inputs that are real numbers, as the model would."""
    from refcompress.integer import quantize

    real = [spec.name for spec in network.graph.inputs if arrays[spec.name].dtype.kind == "f"]
    return {**arrays, **{name: quantize(arrays[name], network.quantizations[name]) for name in real}}


def _layers(network: IntegerNetwork, arrays: dict[str, Any], advance: Advance) -> Verdict:
    from refcompress.verify import compare_integer_layers

    return compare_integer_layers(network, arrays, progress=advance)


def _outputs(
    args: argparse.Namespace, network: IntegerNetwork, inputs: dict[str, Any], arrays: dict[str, Any], advance: Advance
) -> Verdict:
    from refcompress.verify import compare_integers

    advance("compare", 0.0)
    return compare_integers(
        network,
        inputs,
        arrays,
        reference=args.reference,
        model=args.bound,
        progress=lambda share: advance("compare", share),
    )
