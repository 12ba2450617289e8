"""``refcompress info``: what is in a model file."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refcompress.cli.console import print_json, print_line, print_table
from refcompress.cli.models import add_model, load_any
from refcompress.cli.text import show_bytes, show_percent, show_shape

if TYPE_CHECKING:
    from refcompress.graph import Graph
    from refcompress.integer import IntegerNetwork, Quantization

HELP = "say what is in a model file"
DESCRIPTION = "Print a network's layers, shapes, parameters, true bytes and multiply-accumulates (MACs)."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_model(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Print the network."""
    document = summarize(load_any(args))
    document = {"model": args.model, "model_bytes": Path(args.model).stat().st_size, **document}
    if args.json:
        print_json(document)
    else:
        _print(document)
    return 0


def summarize(network: Graph | IntegerNetwork) -> dict[str, Any]:
    """Return what ``info`` prints, in types that JSON knows."""
    from refcompress import ops
    from refcompress.analysis import measure
    from refcompress.integer import IntegerNetwork

    graph = network.graph if isinstance(network, IntegerNetwork) else network
    quantizations = network.quantizations if isinstance(network, IntegerNetwork) else None
    shapes = ops.infer_shapes(graph)
    report = measure(network)
    layers = []
    for node in graph.nodes:
        op = ops.OPS[node.op]
        params = {role: graph.params[name] for role, name in node.params.items()}
        inputs = [shapes[name] for name in node.inputs]
        layers.append(
            {
                "name": node.name,
                "op": node.op,
                "inputs": list(node.inputs),
                "output": node.output,
                "output_shape": list(shapes[node.output]),
                "parameters": dict(node.params),
                "attributes": ops.attrs_to_dict(node.attrs),
                "macs": op.macs(node.attrs, inputs, shapes[node.output], params),
                **_quantization(quantizations, node.output),
            }
        )
    return {
        "inputs": [
            {"name": spec.name, "shape": list(spec.shape), **_quantization(quantizations, spec.name)}
            for spec in graph.inputs
        ],
        "outputs": [{"name": name, "shape": list(shapes[name])} for name in graph.outputs],
        "layers": layers,
        "macs": sum(layer["macs"] for layer in layers),
        "parameter_count": report.dense_bytes // 4,
        **report.to_dict(),
    }


def _quantization(known: Mapping[str, Quantization] | None, name: str) -> dict[str, Any]:
    """Say how an activation of an integer network is quantized: null if it never exists as integers."""
    if known is None:
        return {}
    found = known.get(name)
    return {"quantization": found and {"scale": found.scale, "zero_point": found.zero_point, "bits": found.bits}}


def _print(document: dict[str, Any]) -> None:
    of = {parameter["name"]: parameter for parameter in document["parameters"]}
    rows = [_row(layer, [of[name] for name in layer["parameters"].values()]) for layer in document["layers"]]
    integers = any("quantization" in layer for layer in document["layers"])
    total = ("total", "", *([""] * integers), "", "", "", show_bytes(document["stream_bytes"]), f"{document['macs']:,}")
    columns = ("layer", "op", *(["integers"] * integers), "output", "parameters", "density", "bytes", "MACs")
    print_line(f"{document['model']}: {show_bytes(document['model_bytes'])} bytes")
    for kind in ("inputs", "outputs"):
        print_line(f"{kind}: " + ", ".join(f"{s['name']} ({show_shape(s['shape'])})" for s in document[kind]))
    print_table(columns, rows, right="parameters|density|bytes|MACs", total=total)
    print_line(
        f"{document['parameter_count']:,} parameters: {show_bytes(document['dense_bytes'])} bytes as float32, "
        f"{show_bytes(document['file_bytes'])} bytes as .rcz file ({document['ratio']:.2f} times smaller)"
    )


def _row(layer: dict[str, Any], parameters: list[dict[str, Any]]) -> tuple[str, ...]:
    count = sum(p["dense_bytes"] for p in parameters) // 4
    nonzero = sum(p["density"] * p["dense_bytes"] for p in parameters) / 4
    return (
        layer["name"],
        layer["op"],
        *([_show_quantization(layer["quantization"])] if "quantization" in layer else []),
        show_shape(layer["output_shape"]),
        f"{count:,}" if parameters else "",
        show_percent(nonzero / count) if count else "",
        show_bytes(sum(p["stream_bytes"] for p in parameters)) if parameters else "",
        f"{layer['macs']:,}" if layer["macs"] else "",
    )


def _show_quantization(found: dict[str, Any] | None) -> str:
    if found is None:
        return "clamped in the next"
    point = found["zero_point"]
    return f"{found['scale']:.4g} * (int{found['bits']} {'+' if point < 0 else '-'} {abs(point)})"
