"""PyTorch: what modules return, by forward hooks; of exported programs, what every operation returns."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, FormatError, ModelError
from refcompress.graph import Graph
from refcompress.verify.adaptors import matching
from refcompress.verify.adaptors.matching import Call

Array = NDArray[Any]

# class of a module, without the 1d, 2d or 3d at its end
MODULES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "AdaptiveAvgPool": ("GlobalAveragePool",),
        "AdaptiveMaxPool": ("GlobalMaxPool",),
        "AvgPool": ("AveragePool", "GlobalAveragePool"),
        "BatchNorm": ("BatchNormalization",),
        "CELU": ("Celu",),
        "Conv": ("Conv",),
        "ConvTranspose": ("ConvTranspose",),
        "Dropout": ("Dropout",),
        "ELU": ("Elu",),
        "Embedding": ("Gather",),
        "Flatten": ("Flatten", "Reshape"),
        "GELU": ("Gelu",),
        "GRU": ("GRU",),
        "GroupNorm": ("GroupNormalization",),
        "Hardsigmoid": ("HardSigmoid",),
        "Hardswish": ("HardSwish",),
        "Hardtanh": ("Clip",),
        "LSTM": ("LSTM",),
        "LayerNorm": ("LayerNormalization",),
        "LeakyReLU": ("LeakyRelu",),
        "Linear": ("Gemm",),
        "LogSoftmax": ("LogSoftmax",),
        "MaxPool": ("MaxPool", "GlobalMaxPool"),
        "Mish": ("Mish",),
        "PReLU": ("PRelu",),
        "PixelShuffle": ("DepthToSpace",),
        "RMSNorm": ("RMSNormalization",),
        "RNN": ("RNN",),
        "ReLU": ("Relu",),
        "ReLU6": ("Clip",),
        "SELU": ("Selu",),
        "SiLU": ("Swish",),
        "Sigmoid": ("Sigmoid",),
        "Softmax": ("Softmax",),
        "Softplus": ("Softplus",),
        "Softsign": ("Softsign",),
        "Tanh": ("Tanh",),
        "Upsample": ("Resize",),
        "ZeroPad": ("Pad",),
    }
)
# operation of an exported program, without its overload
OPERATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "_softmax": ("Softmax",),
        "adaptive_avg_pool1d": ("GlobalAveragePool",),
        "adaptive_avg_pool2d": ("GlobalAveragePool",),
        "add": ("Add",),
        "add_": ("Add",),
        "avg_pool2d": ("AveragePool", "GlobalAveragePool"),
        "batch_norm": ("BatchNormalization",),
        "cat": ("Concat",),
        "clamp": ("Clip",),
        "conv1d": ("Conv",),
        "conv2d": ("Conv",),
        "conv_transpose2d": ("ConvTranspose",),
        "dropout": ("Dropout",),
        "elu": ("Elu",),
        "embedding": ("Gather",),
        "flatten": ("Flatten", "Reshape"),
        "gelu": ("Gelu",),
        "group_norm": ("GroupNormalization",),
        "hardsigmoid": ("HardSigmoid",),
        "hardswish": ("HardSwish",),
        "hardtanh": ("Clip",),
        "layer_norm": ("LayerNormalization",),
        "leaky_relu": ("LeakyRelu",),
        "linear": ("Gemm",),
        "log_softmax": ("LogSoftmax",),
        "matmul": ("MatMul",),
        "max_pool2d": ("MaxPool", "GlobalMaxPool"),
        "mean": ("GlobalAveragePool", "ReduceMean"),
        "mul": ("Mul",),
        "pad": ("Pad",),
        "pow": ("Pow",),
        "prelu": ("PRelu",),
        "relu": ("Relu",),
        "relu6": ("Clip",),
        "relu6_": ("Clip",),
        "relu_": ("Relu",),
        "reshape": ("Flatten", "Reshape"),
        "sigmoid": ("Sigmoid",),
        "silu": ("Swish",),
        "softmax": ("Softmax",),
        "sub": ("Sub",),
        "tanh": ("Tanh",),
        "view": ("Flatten", "Reshape"),
    }
)


def load(path: str | os.PathLike[str]) -> Any:
    """Load an exported program (``torch.export.save``, ``.pt2``) or a TorchScript file (``torch.jit.save``).

    Pickled modules are not loaded: that would run any code in the file. Give such a model to :func:`capture`.

    Raises
    ------
    FormatError
        The file is neither.

    """
    torch = matching.library("torch", "torch")
    problems = []
    for read in (torch.jit.load, _exported):
        try:
            return read(os.fspath(path))
        except Exception as error:  # noqa: BLE001 - PyTorch raises whatever its readers raise
            problems.append(str(error).splitlines()[0] if str(error) else type(error).__name__)
    raise FormatError(
        f"{os.fspath(path)} is neither an exported program nor TorchScript ({'; '.join(problems)}); save it with "
        "torch.export.save(torch.export.export(model.eval(), (x,)), 'model.pt2')",
        0,
    )


def _exported(path: str) -> Any:
    return matching.library("torch.export", "torch").load(path).module()


def outputs(model: Any, inputs: Mapping[str, Array], graph: Graph) -> tuple[Array, ...]:
    """Call the model without gradients."""
    references = matching.our_activations(graph, matching.plain(inputs))
    returned, _ = _run(model, inputs, graph, record=False)
    return matching.in_order(_arrays(returned), graph, references)


def capture(
    model: Any, inputs: Mapping[str, Array], graph: Graph, *, names: Mapping[str, str] | None = None
) -> dict[str, Array]:
    """Run a model as it is and record what its modules return, or its operations if it is an exported program.

    Call ``model.eval()`` before, unless what it does in training is what you want to see.

    Parameters
    ----------
    model
        A ``torch.nn.Module``, or ``torch.export.load(path).module()``.
    inputs
        The network's inputs by name, in our layout; channels are moved to the front.
    graph
        The network that the model is compared with.
    names
        Name of a module (``"features.0"``) to the name of the node that it is. Without it, modules and nodes are
        matched by name, then in their order by kind and shape.

    Returns
    -------
    dict
        Activation of the graph to array, the inputs and outputs included.

    Raises
    ------
    DataError
        The model does not run on the inputs, or no module or operation is a node of the network.
    ModelError
        It is TorchScript, which shows nothing of its inside.

    """
    given = matching.plain(inputs)
    references = matching.our_activations(graph, given)
    torch = matching.library("torch", "torch")
    if isinstance(model, torch.jit.ScriptModule):
        raise ModelError("TorchScript shows nothing of its inside; export the model: torch.export.export(model, (x,))")
    returned, calls = _run(model, given, graph, record=True)
    if names is not None:
        calls = [Call((names[name],), (), call.array) for call in calls for name in call.names if name in names]
    found = matching.aligned(calls, graph, references)
    if not found:
        raise DataError("no module of the model is a node of the network; give names={module: node}")
    placed = matching.in_order(_arrays(returned), graph, references)
    return {**given, **found, **dict(zip(graph.outputs, placed, strict=True))}


def _run(model: Any, inputs: Mapping[str, Array], graph: Graph, *, record: bool) -> tuple[Any, list[Call]]:
    """Run a model on the inputs in the first layout that it takes: channels first, then as they are."""
    torch = matching.library("torch", "torch")
    problems = []
    for arrays in _layouts(graph, matching.plain(inputs)):
        tensors = [torch.from_numpy(array) for array in arrays]
        calls: list[Call] = []
        try:
            with torch.no_grad():
                if not record:
                    return model(*tensors), calls
                if isinstance(model, torch.fx.GraphModule):
                    return _interpret(torch, model, tensors, calls), calls
                with _hooked(model, calls):
                    return model(*tensors), calls
        except (RuntimeError, ValueError, TypeError, IndexError, AssertionError) as error:
            problems.append(str(error).splitlines()[0] if str(error) else type(error).__name__)
    raise DataError(f"the PyTorch model does not run on the inputs: {'; '.join(dict.fromkeys(problems))}")


def _layouts(graph: Graph, inputs: Mapping[str, Array]) -> Iterator[list[Array]]:
    looked_up = {node.inputs[0] for node in graph.nodes if node.op == "Gather"}
    arrays = [
        inputs[spec.name].astype(np.int64) if spec.name in looked_up else inputs[spec.name] for spec in graph.inputs
    ]
    moved = [matching.channels_first(array) if array.ndim > 2 else array for array in arrays]
    images_first = any(array.ndim > 3 for array in arrays)
    yield from (moved, arrays) if images_first else (arrays, moved)


@contextlib.contextmanager
def _hooked(model: Any, calls: list[Call]) -> Iterator[None]:
    """Record what modules without parts return, while the context lasts."""

    def hook(name: str, module: Any) -> Any:
        kind = type(module).__name__
        kinds = MODULES.get(kind) or MODULES.get(re.sub("[123]d$", "", kind), ())

        def record(_module: Any, _arguments: Any, returned: Any) -> None:
            calls.extend(Call((name,), kinds, array) for array in _arrays(returned)[:1])

        return record

    leaves = [(name, part) for name, part in model.named_modules() if name and not any(part.children())]
    handles = [part.register_forward_hook(hook(name, part)) for name, part in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _interpret(torch: Any, model: Any, tensors: Sequence[Any], calls: list[Call]) -> Any:
    """Run an exported program operation by operation."""
    interpreter = torch.fx.Interpreter(model)
    run_node = interpreter.run_node

    def recorded(node: Any) -> Any:
        returned = run_node(node)
        if node.op == "call_function":
            schema = getattr(node.target, "_schema", None)
            operation = schema.name.split("::")[-1] if schema is not None else str(node.target)
            kinds = OPERATIONS.get(operation, ())
            calls.extend(Call(_names(node), kinds, array) for array in _arrays(returned)[:1])
        return returned

    interpreter.run_node = recorded
    return interpreter.run(*tensors)


def _names(node: Any) -> tuple[str, ...]:
    """Names of an operation: that of the module it belongs to, and its own."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values() if path]
    return (paths[-1], node.name) if paths else (node.name,)


def _arrays(value: Any) -> list[Array]:
    """Every tensor in what a module returned, as float32."""
    if isinstance(value, Mapping):
        return list(itertools.chain.from_iterable(_arrays(part) for part in value.values()))
    if isinstance(value, list | tuple):
        return list(itertools.chain.from_iterable(_arrays(part) for part in value))
    if hasattr(value, "detach"):
        # a copy: what runs next may write into it
        return [np.array(value.detach().cpu().float().numpy())]
    return []
