"""Random ONNX models: chains of operators that shuffle axes as exporters do, in ONNX's order of axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from checks.onnx_files import model, node

Shape = tuple[int, ...]


@dataclass
class Maker:
    """A model in the making; its first axis is the batch, -1 in target shapes."""

    rng: np.random.Generator
    shape: Shape  # of the current tensor, without the batch
    name: str = "x"
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    made: list[tuple[str, Shape]] = field(default_factory=list)

    def constant(self, array: Any) -> str:
        """Add an initializer."""
        name = f"c{len(self.constants)}"
        self.constants[name] = array
        return name

    def numbers(self, *shape: int) -> str:
        """Add an initializer of random numbers."""
        return self.constant(self.rng.normal(size=shape).astype(np.float32))

    def add(self, op: str, *more: str, shape: Shape | None = None, first: str | None = None, **attrs: Any) -> None:
        """Apply an operator to the current tensor."""
        output = f"t{len(self.nodes)}"
        self.nodes.append(node(op, [first or self.name, *more], [output], name=f"node{len(self.nodes)}", **attrs))
        self.name = output
        self.shape = self.shape if shape is None else shape
        self.made.append((output, self.shape))

    def axis(self) -> int:
        """Return an axis other than the batch."""
        return int(self.rng.integers(1, len(self.shape) + 1))


def _conv(m: Maker) -> None:
    if len(m.shape) not in {2, 3}:
        return
    cout, spatial = int(m.rng.integers(1, 4)), m.shape[1:]
    weight = m.numbers(cout, m.shape[0], *(2 for _ in spatial))
    m.add("Conv", weight, shape=(cout, *spatial), auto_pad="SAME_UPPER")


def _batch_norm(m: Maker) -> None:
    if len(m.shape) < 2:
        return
    c = m.shape[0]
    var = m.constant(m.rng.uniform(0.5, 2, c).astype(np.float32))
    m.add("BatchNormalization", m.numbers(c), m.numbers(c), m.numbers(c), var)


def _pool(m: Maker) -> None:
    if len(m.shape) == 3 and min(m.shape[1:]) > 1:
        plane = tuple(-(-n // 2) for n in m.shape[1:])
        attrs = {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1}
        m.add(str(m.rng.choice(["MaxPool", "AveragePool"])), shape=(m.shape[0], *plane), **attrs)


def _activation(m: Maker) -> None:
    m.add(str(m.rng.choice(["Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSwish", "Elu"])))


def _transpose(m: Maker) -> None:
    perm = m.rng.permutation(len(m.shape))
    m.add("Transpose", shape=tuple(m.shape[i] for i in perm), perm=[0, *(int(i) + 1 for i in perm)])


def _reshape(m: Maker) -> None:
    total, sizes = math.prod(m.shape), []
    while total > 1 and len(sizes) < 3:
        divisors = [d for d in range(1, total + 1) if total % d == 0]
        sizes.append(int(m.rng.choice(divisors)))
        total //= sizes[-1]
    shape = (*sizes, total)
    m.add("Reshape", m.constant(np.array([-1, *shape])), shape=shape)


def _unit(m: Maker) -> None:
    if 1 in m.shape and len(m.shape) > 1:
        at = m.shape.index(1)
        m.add("Squeeze", m.constant(np.array([at + 1])), shape=(*m.shape[:at], *m.shape[at + 1 :]))
    elif len(m.shape) < 4:
        at = int(m.rng.integers(0, len(m.shape) + 1))
        m.add("Unsqueeze", m.constant(np.array([at + 1])), shape=(*m.shape[:at], 1, *m.shape[at:]))


def _arithmetic(m: Maker) -> None:
    shape = tuple(n if m.rng.random() < 0.6 else 1 for n in m.shape)[int(m.rng.integers(0, len(m.shape))) :]
    m.add(str(m.rng.choice(["Add", "Mul", "Sub", "Div", "Max"])), m.numbers(*shape))


def _with_earlier(m: Maker) -> None:
    same = [name for name, shape in m.made if shape == m.shape and name != m.name]
    if same:
        m.add(str(m.rng.choice(["Add", "Mul", "Sub"])), str(m.rng.choice(same)))


def _outer(m: Maker) -> None:
    """Combine a tensor with itself turned: the same axis stands in two places."""
    if len(m.shape) == 2 and math.prod(m.shape) < 40:
        before, shape = m.name, m.shape
        m.add("Transpose", shape=shape[::-1], perm=[0, 2, 1])
        m.add("MatMul", m.name, shape=(shape[0], shape[0]), first=before)


def _concat(m: Maker) -> None:
    axis = m.axis()
    other = m.name
    _activation(m)
    longer = list(m.shape)
    longer[axis - 1] *= 2
    m.add("Concat", other, shape=tuple(longer), axis=axis)


def _slice(m: Maker) -> None:
    axis = m.axis()
    step = int(m.rng.choice([-1, 1, 2]))
    length = len(range(m.shape[axis - 1])[::step])
    start, end = (-1, -(2**40)) if step < 0 else (0, 2**40)
    inputs = [m.constant(np.array([n])) for n in (start, end, axis, step)]
    m.add("Slice", *inputs, shape=(*m.shape[: axis - 1], length, *m.shape[axis:]))


def _gather(m: Maker) -> None:
    axis = m.axis()
    if len(m.shape) > 1:
        index = m.constant(np.array(int(m.rng.integers(-m.shape[axis - 1], m.shape[axis - 1]))))
        m.add("Gather", index, shape=(*m.shape[: axis - 1], *m.shape[axis:]), axis=axis)


def _softmax(m: Maker) -> None:
    m.add(str(m.rng.choice(["Softmax", "LogSoftmax"])), axis=m.axis())


def _reduce(m: Maker) -> None:
    axis, keep = m.axis(), int(m.rng.integers(2))
    if len(m.shape) > 1:
        kept = (1,) if keep else ()
        op = str(m.rng.choice(["ReduceMean", "ReduceMax", "ReduceL2"]))
        m.add(op, shape=(*m.shape[: axis - 1], *kept, *m.shape[axis:]), axes=[axis], keepdims=keep)


def _matmul(m: Maker) -> None:
    n = int(m.rng.integers(1, 5))
    m.add("MatMul", m.numbers(m.shape[-1], n), shape=(*m.shape[:-1], n))
    if m.rng.random() < 0.5:
        m.add("Add", m.numbers(n))


def _gemm(m: Maker) -> None:
    total, n = math.prod(m.shape), int(m.rng.integers(1, 5))
    m.add("Flatten", shape=(total,))
    alpha = float(m.rng.choice([1.0, 0.5, 0.3]))
    m.add("Gemm", m.numbers(n, total), m.numbers(n), shape=(n,), transB=1, alpha=alpha)


def _layer_norm(m: Maker) -> None:
    axis = m.axis()
    m.add("LayerNormalization", m.numbers(*m.shape[axis - 1 :]), m.numbers(*m.shape[axis - 1 :]), axis=axis)


def _pad(m: Maker) -> None:
    pads = m.rng.integers(0, 2, 2 * len(m.shape))
    before, after = pads[: len(m.shape)], pads[len(m.shape) :]
    shape = tuple(int(n + a + b) for n, a, b in zip(m.shape, before, after, strict=True))
    value = m.constant(np.float32(m.rng.choice([0.0, 1.5])))
    m.add("Pad", m.constant(np.array([0, *before, 0, *after])), value, shape=shape)


STEPS: tuple[Callable[[Maker], None], ...] = (
    *(_conv, _batch_norm, _pool, _activation, _transpose, _reshape, _unit, _arithmetic, _with_earlier, _outer, _concat),
    *(_slice, _gather, _softmax, _reduce, _matmul, _gemm, _layer_norm, _pad),
)


def random_model(rng: np.random.Generator, batch: int | str) -> Any:
    """Return a model of some ten operators; ``batch`` is the size of its first axis or the name of an open one."""
    rank = int(rng.integers(1, 4))
    m = Maker(rng, tuple(int(n) for n in rng.integers(1, 6, rank)))
    inputs = {"x": (batch, *m.shape)}
    m.made.append((m.name, m.shape))
    while len(m.nodes) < 10:
        before = len(m.nodes)
        STEPS[int(rng.integers(len(STEPS)))](m)
        if math.prod(m.shape) > 3000 or len(m.nodes) == before:
            continue
    return model(m.nodes, inputs, [m.name], m.constants)
