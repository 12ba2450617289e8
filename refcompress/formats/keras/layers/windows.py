"""What Keras's layers with windows share: images of any layout made (height, width, channels), sizes and padding."""

from __future__ import annotations

from refcompress.errors import ModelError
from refcompress.formats.keras.call import Call
from refcompress.formats.keras.config import channels_first, choice, sizes
from refcompress.ops.windows import same_pads

Pair = tuple[int, int]
Pads = tuple[int, int, int, int]

CAUSAL = ("Conv1D", "DepthwiseConv1D", "SeparableConv1D")  # may see the past alone


def enter(call: Call, rank: int) -> Call:
    """Return the call reading its input as (height, width, channels); a sequence is an image of one line.

    Parameters
    ----------
    call
        Of a layer whose ``data_format`` says where the channels stand.
    rank
        1 for sequences, 2 for images.

    Raises
    ------
    ModelError
        The input has another number of axes.

    """
    if len(call.shape) != rank + 1:
        allowed = "(height, width, channels)" if rank == 2 else "(steps, channels)"
        raise ModelError(
            f"{call.layer}: its input has the shape {call.shape}; allowed is {allowed}; "
            "the architecture does not fit together, save the model again"
        )
    made = call.inputs[0]
    if channels_first(call.layer):
        made = call.transpose((0, *range(2, rank + 2), 1))
    if rank == 1:
        inner = call.then(made, part=call.part)
        made = inner.reshape((1, *inner.shape))
    return call.then(made, part=call.part)


def leave(call: Call, made: str, rank: int) -> str:
    """Return what a window made of an image, laid out as the layer's input was."""
    if rank == 1:
        _, *rest = call.builder.shapes[made]
        made = call.then(made, part=call.part).reshape(tuple(rest))
    if channels_first(call.layer):
        made = call.then(made, part=call.part).transpose((0, rank + 1, *range(1, rank + 1)))
    return made


def window(call: Call, option: str, rank: int, default: object = None, *, least: int = 1) -> Pair:
    """Return an option of as many integers as the window has axes; along the height of a sequence it is 1."""
    values = sizes(call.layer, option, rank, default, least=least)
    return (values[0], values[1]) if rank == 2 else (1, values[0])


def pads(call: Call, kernel: Pair, strides: Pair, dilations: Pair = (1, 1)) -> Pads:
    """Return what the option ``padding`` puts around an image: TensorFlow's rules."""
    causal = ("causal",) if call.layer.class_name in CAUSAL else ()
    padding = choice(call.layer, "padding", ("valid", "same", *causal), "valid")
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "causal":
        return 0, dilations[1] * (kernel[1] - 1), 0, 0
    height, width = call.shape[:2]
    top, bottom = same_pads(height, kernel[0], strides[0], dilations[0])
    left, right = same_pads(width, kernel[1], strides[1], dilations[1])
    return top, left, bottom, right
