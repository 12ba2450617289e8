"""Keras's layers, each class to the nodes it becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from refcompress.errors import ModelError
from refcompress.formats.keras import function_table, registry
from refcompress.formats.keras.call import Call, Made, Tensor
from refcompress.formats.keras.config import (
    NETWORKS,
    Layer,
    check_options,
    flag,
    integer,
    number,
    shown,
)
from refcompress.formats.keras.inputs import check_policy
from refcompress.formats.keras.layers import (
    activations,
    attention,
    convolutions,
    einsum,
    images,
    merge,
    normalization,
    pooling,
    recurrent,
    sequences,
    shapes,
    wrappers,
)
from refcompress.formats.keras.layers.activations import fused


def dense(call: Call) -> str:
    """Layer Dense: a matrix product over the last axis."""
    units = integer(call.layer, "units")
    params = {"weight": call.param("kernel", ["kernel"], (call.shape[-1], units))}
    if flag(call.layer, "use_bias", default=True):
        params["bias"] = call.param("bias", ["bias"], (units,))
    return fused(call, call.emit("Gemm", params=params))


def dropout(call: Call) -> str:
    """Layer Dropout: nothing at inference; kept for training on."""
    return call.emit("Dropout", {"ratio": number(call.layer, "rate", 0.5)})


def identity(call: Call) -> str:
    """Layers that do something in training only: no node."""
    return call.inputs[0]


@dataclass(frozen=True, slots=True)
class Rule:
    """How a class of layers is imported.

    Attributes
    ----------
    build
        Adds the nodes of one call and returns what they make.
    options
        Options that ``build`` looks at, or that are known to mean nothing at inference; None for any.
    inputs
        How many inputs it takes: (least, most); None for any number.
    masking
        Whether what it makes has the mask of its input. Some layers make masks of their own.
    arguments
        What else it may be called with.

    """

    build: Callable[[Call], Made]
    options: frozenset[str] | None = frozenset()
    inputs: tuple[int, int | None] = (1, 1)
    masking: bool = False
    arguments: frozenset[str] = frozenset()


def _rule(
    build: Callable[[Call], Made],
    options: str = "",
    *,
    inputs: tuple[int, int | None] = (1, 1),
    masking: bool = False,
    arguments: str = "",
) -> Rule:
    return Rule(build, frozenset(options.split()), inputs, masking, frozenset(arguments.split()))


def _merging(build: Callable[[Call], Made], options: str = "") -> Rule:
    return _rule(build, options, inputs=(2, None))


def _quiet(options: str = "") -> Rule:
    return _rule(identity, options, masking=True)


_CONV = "kernel_size strides padding data_format dilation_rate activation use_bias"
_POOL = "pool_size strides padding data_format"
# the later ones speak of how training updates the statistics
_NORM = (
    "axis epsilon center scale momentum fused renorm renorm_clipping renorm_momentum synchronized virtual_batch_size"
)
_RECURRENT = Rule(recurrent.recurrent, recurrent.OPTIONS, (1, None), arguments=frozenset({"initial_state"}))
_NORM_RULE = _rule(normalization.batch_normalization, _NORM, masking=True)
_RANDOM_CHANGES = ("Brightness", "Contrast", "Flip", "Height", "Rotation", "Translation", "Width", "Zoom")

LAYERS: Mapping[str, Rule] = MappingProxyType(
    {
        "Activation": _rule(activations.activation, "activation", masking=True),
        "ActivityRegularization": _quiet("l1 l2"),
        "Add": _merging(merge.add),
        "AdditiveAttention": _rule(
            attention.additive_attention,
            "use_scale dropout causal",
            inputs=(2, 3),
            arguments="return_attention_scores use_causal_mask",
        ),
        "AlphaDropout": _quiet("rate noise_shape"),
        "Attention": _rule(
            attention.attention,
            "use_scale score_mode dropout causal",
            inputs=(2, 3),
            arguments="return_attention_scores use_causal_mask",
        ),
        "Average": _merging(merge.average),
        "AveragePooling1D": _rule(pooling.average_pooling1d, _POOL),
        "AveragePooling2D": _rule(pooling.average_pooling2d, _POOL),
        "BatchNormalization": _NORM_RULE,
        "BatchNormalizationV1": _NORM_RULE,  # TensorFlow 1.14 and 2.0
        "BatchNormalizationV2": _NORM_RULE,
        "Bidirectional": _rule(
            wrappers.bidirectional,
            "layer backward_layer merge_mode",
            inputs=(1, None),
            arguments="initial_state",
        ),
        "CenterCrop": _rule(images.center_crop, "height width data_format", arguments="training"),
        "Concatenate": _merging(merge.concatenate, "axis"),
        "Conv1D": _rule(convolutions.conv1d, f"{_CONV} filters groups"),
        "Conv1DTranspose": _rule(convolutions.conv1d_transpose, f"{_CONV} filters groups output_padding"),
        "Conv2D": _rule(convolutions.conv2d, f"{_CONV} filters groups"),
        "Conv2DTranspose": _rule(convolutions.conv2d_transpose, f"{_CONV} filters groups output_padding"),
        "Cropping1D": _rule(shapes.cropping1d, "cropping data_format"),
        "Cropping2D": _rule(shapes.cropping2d, "cropping data_format"),
        "CuDNNGRU": _RECURRENT,
        "CuDNNLSTM": _RECURRENT,
        "CustomScaleLayer": _merging(merge.custom_scale, "scale"),
        "Dense": _rule(dense, "units activation use_bias input_dim", masking=True),
        "DepthwiseConv1D": _rule(convolutions.depthwise_conv1d, f"{_CONV} groups depth_multiplier"),
        "DepthwiseConv2D": _rule(convolutions.depthwise_conv2d, f"{_CONV} groups depth_multiplier"),
        "Dot": _merging(merge.dot, "axes normalize"),
        "Dropout": _rule(dropout, "rate noise_shape", masking=True),
        "ELU": _rule(activations.elu, "alpha", masking=True),
        "EinsumDense": _rule(einsum.einsum_dense, "equation output_shape bias_axes activation"),
        "Embedding": _rule(sequences.embedding, "input_dim output_dim mask_zero input_length sparse"),
        "Flatten": _rule(shapes.flatten, "data_format"),
        "GRU": _RECURRENT,
        "GaussianDropout": _quiet("rate"),
        "GaussianNoise": _quiet("stddev"),
        "GlobalAveragePooling1D": _rule(pooling.global_average_pooling1d, "data_format keepdims"),
        "GlobalAveragePooling2D": _rule(pooling.global_average_pooling2d, "data_format keepdims"),
        "GlobalMaxPooling1D": _rule(pooling.global_max_pooling1d, "data_format keepdims"),
        "GlobalMaxPooling2D": _rule(pooling.global_max_pooling2d, "data_format keepdims"),
        "GroupNormalization": _rule(
            normalization.group_normalization, "groups axis epsilon center scale", masking=True
        ),
        "Identity": _quiet(),
        "LSTM": _RECURRENT,
        "LayerNormalization": _rule(
            normalization.layer_normalization, "axis epsilon center scale rms_scaling", masking=True
        ),
        "LayerScale": _rule(normalization.layer_scale, "init_values projection_dim"),
        "LeakyReLU": _rule(activations.leaky_relu, "alpha negative_slope", masking=True),
        "Masking": _rule(sequences.masking, "mask_value"),
        "MaxPooling1D": _rule(pooling.max_pooling1d, _POOL),
        "MaxPooling2D": _rule(pooling.max_pooling2d, _POOL),
        "Maximum": _merging(merge.maximum),
        "Minimum": _merging(merge.minimum),
        "MultiHeadAttention": _rule(
            attention.multi_head_attention,
            "num_heads key_dim value_dim dropout use_bias output_shape attention_axes query_shape key_shape "
            "value_shape softmax_robust_masking use_gate sliding_window flash_attention",
            inputs=(1, None),
            arguments=" ".join((*attention.HEADS, "return_attention_scores", "use_causal_mask")),
        ),
        "Multiply": _merging(merge.multiply),
        "Normalization": _rule(images.normalization, "axis invert mean variance", masking=True),
        "PReLU": _rule(activations.prelu, "shared_axes", masking=True),
        "Permute": _rule(shapes.permute, "dims"),
        "RMSNormalization": _rule(normalization.rms_normalization, "axis epsilon"),
        "RNN": Rule(
            recurrent.wrapped_cell,
            recurrent.OPTIONS | {"cell"},
            (1, None),
            arguments=frozenset({"initial_state"}),
        ),
        **dict.fromkeys(
            [f"Random{what}" for what in _RANDOM_CHANGES],
            Rule(identity, None, arguments=frozenset({"training"})),
        ),
        "ReLU": _rule(activations.relu, "max_value negative_slope threshold", masking=True),
        "RepeatVector": _rule(shapes.repeat_vector, "n"),
        "Rescaling": _rule(images.rescaling, "scale offset", masking=True),
        "Reshape": _rule(shapes.reshape, "target_shape"),
        "Resizing": _rule(
            images.resizing,
            "height width interpolation crop_to_aspect_ratio pad_to_aspect_ratio fill_mode fill_value antialias "
            "data_format",
            arguments="training",
        ),
        "SeparableConv1D": _rule(convolutions.separable_conv1d, f"{_CONV} groups filters depth_multiplier"),
        "SeparableConv2D": _rule(convolutions.separable_conv2d, f"{_CONV} groups filters depth_multiplier"),
        "SimpleRNN": _RECURRENT,
        "Softmax": _rule(activations.softmax, "axis robust_masking", masking=True),
        "SpatialDropout1D": _quiet("rate noise_shape"),
        "SpatialDropout2D": _quiet("rate noise_shape data_format"),
        "StochasticDepth": _quiet("drop_path_rate survival_probability"),
        "Subtract": _merging(merge.subtract),
        "ThresholdedReLU": _rule(activations.thresholded_relu, "theta", masking=True),
        "TimeDistributed": _rule(wrappers.time_distributed, "layer"),
        "UnitNormalization": _rule(normalization.unit_normalization, "axis", masking=True),
        "UpSampling1D": _rule(shapes.up_sampling1d, "size"),
        "UpSampling2D": _rule(shapes.up_sampling2d, "size data_format interpolation"),
        "ZeroPadding1D": _rule(shapes.zero_padding1d, "padding data_format"),
        "ZeroPadding2D": _rule(shapes.zero_padding2d, "padding data_format"),
    }
)


def build(call: Call) -> Made:
    """Add the nodes of one call of a layer and return the activation they make, or a tuple of several.

    Raises
    ------
    ModelError
        An option or the inputs cannot be represented; the message names the layer and the remedy.

    """
    layer = call.layer
    custom = registry.registered(layer.class_name, layer.name, layer.origin[1])
    if custom is not None:
        return _check_made(layer, custom(call), call)
    if function_table.is_function(layer, known_layer=layer.class_name in LAYERS):
        return function_table.build(call)
    check_policy(layer)
    rule = LAYERS[layer.class_name]
    if rule.options is not None:
        check_options(layer, rule.options)
    check_arguments(call, rule.arguments)
    least, most = rule.inputs
    if len(call.inputs) < least or (most is not None and len(call.inputs) > most):
        allowed = {(1, 1): "one", (2, None): "two or more", (2, 3): "two or three"}.get(rule.inputs, "one or more")
        raise ModelError(
            f"{layer}: it is called on {len(call.inputs)} inputs; it takes {allowed}; save the model again"
        )
    made = rule.build(call)
    own = call.builder.masks.get(call.inputs[0])
    if rule.masking and own is not None and isinstance(made, str):
        call.builder.masks.setdefault(made, own)
    return made


def check_arguments(call: Call, known: frozenset[str] = frozenset()) -> None:
    """Refuse what a layer is called with that is not known here, unless it says nothing.

    Raises
    ------
    ModelError
        With the first such argument.

    """
    for name, value in call.kwargs.items():
        # "not given" is null, and training=False is what inference is
        if value is None or value is False or name in known or name == "mask":
            continue
        text = shown(value.name if isinstance(value, Tensor) else value)
        raise ModelError(
            f"{call.layer}: it is called with {name}={text}, which cannot be represented; rebuild the model "
            "without this argument, set its weights from this one and save it"
        )
    if not known and any(value is not None for value in call.args[1:]):
        raise ModelError(
            f"{call.layer}: it is called with {len(call.args)} arguments and takes one; rebuild the model, set its "
            "weights from this one and save it"
        )


def check_class(layer: Layer) -> None:
    """Refuse a layer whose class cannot be imported.

    Raises
    ------
    ModelError
        With what to do.

    """
    if registry.registered(layer.class_name, layer.name, layer.origin[1]) is not None:
        return
    if function_table.is_function(layer, known_layer=layer.class_name in LAYERS):
        return
    if layer.class_name not in (*LAYERS, *NETWORKS, "InputLayer") or _is_foreign(layer):
        raise ModelError(_unsupported(layer))


def _check_made(layer: Layer, made: Made, call: Call) -> Made:
    names = (made,) if isinstance(made, str) else made
    if not isinstance(names, tuple) or not names or not all(name in call.builder.shapes for name in names):
        raise ModelError(
            f"{layer}: what was registered for it returned {shown(made)}; it must return the name of an activation, "
            "as call.emit does, or a tuple of them"
        )
    return made


def _is_foreign(layer: Layer) -> bool:
    """Whether a class of somebody else's has taken the name of one of Keras's."""
    module, registered = layer.origin
    keras = module.partition(".")[0] in {"", "keras", "tf_keras", "tensorflow", "tensorflow_core"}
    return not keras or ">" in registered


def _unsupported(layer: Layer) -> str:
    supply = "or say what it computes with refcompress.formats.register_layer"
    if layer.class_name == "Lambda":
        return (
            f"{layer}: Lambda layers hold Python bytecode, which is never executed here; replace it by the "
            "layers that do the same (Activation, ReLU, Reshape, Concatenate, ...), set the weights from this "
            f"model and save it, {supply}"
        )
    supported = ", ".join(("InputLayer", *NETWORKS, *LAYERS))
    return f"{layer}: this class cannot be represented; rebuild it from those that can, {supply}: {supported}"
