"""Suspects in the integers of a weight: turned in one way or another while the scales of its channels stay in place."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from refcompress.encodings.integers import from_rows
from refcompress.encodings.rows import from_rows as array_of_rows
from refcompress.encodings.rows import to_rows
from refcompress.graph import Graph
from refcompress.integer.step import Step, integer_rows, weight_scales
from refcompress.verify.causes import parameters
from refcompress.verify.causes.site import Site

LEAST, MOST = -128, 127


def turned_weights(graph: Graph, step: Step) -> Iterator[tuple[str, Step]]:
    """Yield a step with its weight's integers transposed, flipped, reversed or in another memory order, and a text.

    With one scale for all channels that is what the causes in real numbers try; with one for each it is not.
    """
    if "weight" not in step.params:
        return
    encoding = step.params["weight"]
    weight = array_of_rows(integer_rows(encoding), encoding.shape).astype(np.float32)
    site = Site(graph, step.node, {"weight": weight}, (), None)
    causes = (parameters.kernel,) if step.node.op == "Conv" else (parameters.matrix, parameters.flattened_order)
    for cause in causes:
        for variant in cause(site):
            (turned,) = variant.params.values()
            if turned.shape != weight.shape or turned.min() < LEAST or turned.max() > MOST:
                continue
            rows = to_rows(turned).astype(np.int16)
            other = from_rows(rows, encoding.shape, weight_scales(encoding), 8)
            yield variant.text, dataclasses.replace(step, params={**step.params, "weight": other})
