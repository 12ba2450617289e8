"""Keras's layers where sequences begin: Embedding and Masking, which make the masks of what follows."""

from __future__ import annotations

from refcompress.formats.keras.call import Call
from refcompress.formats.keras.config import flag, integer, number


def embedding(call: Call) -> str:
    """Layer Embedding: whole numbers to rows of a table; with ``mask_zero``, zeros do not count."""
    shape = integer(call.layer, "input_dim"), integer(call.layer, "output_dim")
    made = call.emit("Gather", params={"weight": call.param("embeddings", ["embeddings"], shape)})
    if flag(call.layer, "mask_zero", default=False):
        call.builder.masks[made] = call.then(*call.inputs, part="mask").emit("NotEqual", {"value": 0.0})
    return made


def masking(call: Call) -> str:
    """Layer Masking: steps of which all features have one value do not count, and become zeros."""
    value = number(call.layer, "mask_value", 0.0)
    differs = call.then(*call.inputs, part="differs").emit("NotEqual", {"value": value})
    last = len(call.shape)
    mask = call.then(differs, part="mask").emit("ReduceMax", {"axes": (last,), "keepdims": False})
    column = call.then(mask, part="column").reshape((*call.shape[:-1], 1))
    made = call.then(*call.inputs, column).emit("Mul")
    call.builder.masks[made] = mask
    return made
