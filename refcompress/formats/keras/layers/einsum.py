"""Keras's EinsumDense: a matrix product over any axes, with axes of any order."""

from __future__ import annotations

import math
from collections.abc import Mapping

from refcompress.formats.keras.call import Array, Call
from refcompress.formats.keras.config import is_int, refuse
from refcompress.formats.keras.layers.activations import fused

ALLOWED = "two terms and a result of which the kernel's letters stand in the input or in the result, not in both"


def einsum_dense(call: Call) -> str:
    """Layer EinsumDense: the axes of the input that are summed over go last, those that come new too."""
    x, kernel, result = _terms(call)
    size = dict(zip(x, call.shape, strict=True))
    summed = [letter for letter in kernel if letter in x]
    new = [letter for letter in kernel if letter not in x]
    size |= _new_sizes(call, result, new)
    kept = [letter for letter in x if letter not in summed]
    columns, units = (math.prod(size[letter] for letter in letters) for letters in (summed, new))

    def to_matrix(array: Array) -> Array:
        return array.transpose([kernel.index(letter) for letter in (*summed, *new)]).reshape(columns, units)

    weight = call.param("kernel", ["kernel"], tuple(size[letter] for letter in kernel), to_matrix)
    moved = call.then(call.transpose((0, *(x.index(letter) + 1 for letter in (*kept, *summed)))), part=call.part)
    flat = call.then(moved.reshape((*(size[letter] for letter in kept), columns)))
    made = flat.then(flat.emit("Gemm", params={"weight": weight}), part="out")
    made = made.then(made.reshape(tuple(size[letter] for letter in (*kept, *new))), part="out")
    order = [*kept, *new]
    output = made.transpose((0, *(order.index(letter) + 1 for letter in result)))
    return fused(call, _biased(call, output, result, size))


def _biased(call: Call, output: str, result: str, size: Mapping[str, int]) -> str:
    letters = call.layer.config.get("bias_axes")
    if letters is None:
        return output
    if not isinstance(letters, str) or not letters or set(letters) - set(result) or len(set(letters)) < len(letters):
        raise refuse(call.layer, "bias_axes", f"letters of the result {result!r}")
    first = min(result.index(letter) for letter in letters)
    shape = tuple(size[letter] if letter in letters else 1 for letter in result[first:])
    bias = call.param("bias", ["bias"], shape)
    return call.then(output, part="bias").emit("Affine", params={"bias": bias})


def _terms(call: Call) -> tuple[str, str, str]:
    """Return the letters of input, kernel and result, without the batch; an ellipsis becomes letters of its own."""
    equation = call.layer.config.get("equation")
    parts = equation.replace(" ", "").replace("->", ",").split(",") if isinstance(equation, str) else []
    if len(parts) != 3 or not all(parts):
        raise refuse(call.layer, "equation", ALLOWED)
    x, kernel, result = parts
    rank = len(call.shape) + 1
    if "..." in x:
        extra = "".join(chr(0x410 + index) for index in range(rank - len(x) + 3))
        x, result = x.replace("...", extra), result.replace("...", extra)
    fits = len(x) == rank and len(set(x)) == rank and len(set(kernel)) == len(kernel) and x[0] == result[0]
    known = (
        set(result) <= set(x) | set(kernel) and set(x) <= set(result) | set(kernel) and len(set(result)) == len(result)
    )
    if not fits or not known or set(kernel) & set(x) & set(result) or x[0] in kernel or "." in x + kernel + result:
        raise refuse(call.layer, "equation", ALLOWED)
    if not set(kernel) <= set(x) | set(result):
        raise refuse(call.layer, "equation", ALLOWED)
    return x[1:], kernel, result[1:]


def _new_sizes(call: Call, result: str, new: list[str]) -> dict[str, int]:
    value = call.layer.config.get("output_shape")
    sizes = value if isinstance(value, list) else [value]
    # counted from the right, as an ellipsis stands for any number of axes
    found = dict(zip(reversed(result), reversed(sizes), strict=False))
    if any(not is_int(found.get(letter)) or found[letter] < 1 for letter in new):
        raise refuse(call.layer, "output_shape", f"sizes of the axes {''.join(new)!r} of the result")
    return {letter: found[letter] for letter in new}


def two_operands(call: Call, text: str, first: str, second: str) -> str | None:
    """Build an Einstein sum of two activations as a product of matrices; None if it is none.

    Parameters
    ----------
    call
        Of the layer that stands for it.
    text
        Subscripts, as in ``"bij,bkj->bik"``; the batch is the first letter of all.
    first, second
        The activations.

    """
    parts = text.replace(" ", "").replace("->", ",").split(",")
    shapes = [call.builder.shapes[name] for name in (first, second)]
    if len(parts) != 3 or not all(part.isalpha() and len(set(part)) == len(part) for part in parts):
        return None
    x, y, result = parts
    if [len(x), len(y)] != [len(shape) + 1 for shape in shapes] or len({x[0], y[0], result[0]}) > 1:
        return None
    x, y, result = x[1:], y[1:], result[1:]
    size = dict(zip(x, shapes[0], strict=True)) | dict(zip(y, shapes[1], strict=True))
    shared = [letter for letter in x if letter in y and letter in result]
    summed = [letter for letter in x if letter in y and letter not in result]
    rows, columns = [letter for letter in x if letter not in y], [letter for letter in y if letter not in x]
    if sorted(result) != sorted([*shared, *rows, *columns]):
        return None

    def matrices(name: str, letters: str, order: tuple[list[str], list[str]], part: str) -> str:
        inner = call.then(name, part=part)
        moved = inner.transpose((0, *(letters.index(letter) + 1 for letter in (*shared, *order[0], *order[1]))))
        plane = tuple(math.prod(size[letter] for letter in side) for side in order)
        return inner.then(moved, part=part).reshape((*(size[letter] for letter in shared), *plane))

    left, right = matrices(first, x, (rows, summed), "left"), matrices(second, y, (summed, columns), "right")
    order = [*shared, *rows, *columns]
    made = call.then(call.then(left, right).emit("MatMul"), part="out")
    made = made.then(made.reshape(tuple(size[letter] for letter in order)), part="out")
    return made.transpose((0, *(order.index(letter) + 1 for letter in result)))
