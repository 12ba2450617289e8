"""RNN, LSTM and GRU against scalar loops and other frameworks: values, gradients, error bounds."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from checks.gradients import check_grad
from checks.ops import check_op
from checks.weights import sparse_encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import special

from refcompress import encodings
from refcompress.encodings import Encoding
from refcompress.errors import ModelError
from refcompress.graph import Graph, Node, TensorSpec
from refcompress.ops import OPS, gate_functions, recurrent_bounds
from refcompress.ops.base import deterministic_gamma
from refcompress.ops.gru import GRU
from refcompress.ops.lstm import LSTM
from refcompress.ops.rnn import RNN
from refcompress.verify.bounds import error_bounds

F = np.float32
Arrays = Mapping[str, NDArray[Any]]
Attrs = RNN | LSTM | GRU

GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
STATES = {"RNN": 1, "LSTM": 2, "GRU": 1}
SIXTH, FIFTH = float(F(1 / 6)), float(F(0.2))
FORMULAS: dict[str, Callable[[float], float]] = {
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "exponential": math.exp,
    "hard_sigmoid": lambda x: min(max(SIXTH * x + 0.5, 0.0), 1.0),
    "hard_sigmoid_fifth": lambda x: min(max(FIFTH * x + 0.5, 0.0), 1.0),
    "linear": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "selu": lambda x: 1.05070102214813232421875 * (x if x > 0 else 1.67326319217681884765625 * math.expm1(x)),
    "sigmoid": lambda x: float(special.expit(x)),
    "softplus": lambda x: math.log1p(math.exp(-abs(x))) + max(x, 0.0),
    "softsign": lambda x: x / (1 + abs(x)),
    "swish": lambda x: x * float(special.expit(x)),
    "tanh": math.tanh,
}


class Loops:
    """The recurrences, one scalar operation after another in the dtype of the inputs, for one sample."""

    def __init__(self, attrs: Attrs, params: Arrays, dtype: type[np.floating[Any]]) -> None:
        self.attrs, self.dtype = attrs, dtype
        self.weight, self.recurrent = params["weight"], params["recurrent_weight"]
        columns = self.weight.shape[1]
        self.bias = params.get("bias", np.zeros(columns, dtype))
        self.recurrent_bias = params.get("recurrent_bias", np.zeros(columns, dtype))
        self.units = self.recurrent.shape[0]

    def _function(self, name: str, x: Any) -> Any:
        if self.dtype is np.float64:
            return np.float64(FORMULAS[name](float(x)))
        row = gate_functions.FUNCTIONS[name]
        return row.op.exact(row.attrs, [np.array([x], F)], {})[0]

    def _total(self, start: Any, column: int, *parts: tuple[Any, NDArray[Any]]) -> Any:
        for vector, matrix in parts:
            for k, value in enumerate(vector):
                if matrix[k, column] != 0 or self.dtype is np.float64:  # zeros are not stored, or add nothing
                    start = start + matrix[k, column] * value
        return start

    def _sums(self, x: Any, h: Any, gate: int) -> list[Any]:
        columns = range(gate * self.units, (gate + 1) * self.units)
        return [self._total(self.bias[j], j, (x, self.weight), (h, self.recurrent)) for j in columns]

    def _step(self, x: Any, state: list[list[Any]]) -> list[list[Any]]:
        return {RNN: self._rnn, LSTM: self._lstm, GRU: self._gru}[type(self.attrs)](x, *state)

    def _rnn(self, x: Any, h: list[Any]) -> list[list[Any]]:
        return [[self._function(self.attrs.activation, z) for z in self._sums(x, h, 0)]]

    def _lstm(self, x: Any, h: list[Any], c: list[Any]) -> list[list[Any]]:
        act, gate = self.attrs.activation, self.attrs.recurrent_activation  # type: ignore[union-attr]
        i, f, g, o = ([self._function(act if k == 2 else gate, z) for z in self._sums(x, h, k)] for k in range(4))
        cell = [f[j] * c[j] + i[j] * g[j] for j in range(self.units)]
        return [[o[j] * self._function(act, cell[j]) for j in range(self.units)], cell]

    def _gru(self, x: Any, h: list[Any]) -> list[list[Any]]:
        assert isinstance(self.attrs, GRU)
        act, gate, units, one = self.attrs.activation, self.attrs.recurrent_activation, self.units, self.dtype(1)
        if self.attrs.linear_before_reset:
            of_x = [self._total(self.bias[j], j, (x, self.weight)) for j in range(3 * units)]
            of_h = [self._total(self.recurrent_bias[j], j, (h, self.recurrent)) for j in range(3 * units)]
            z = [self._function(gate, of_x[j] + of_h[j]) for j in range(units)]
            r = [self._function(gate, of_x[units + j] + of_h[units + j]) for j in range(units)]
            g = [self._function(act, of_x[2 * units + j] + r[j] * of_h[2 * units + j]) for j in range(units)]
        else:
            z, r = ([self._function(gate, s) for s in self._sums(x, h, k)] for k in range(2))
            g = [self._function(act, s) for s in self._sums(x, [r[j] * h[j] for j in range(units)], 2)]
        return [[z[j] * h[j] + (one - z[j]) * g[j] for j in range(units)]]

    def run(self, x: NDArray[Any], mask: NDArray[Any], state: list[list[Any]]) -> NDArray[Any]:
        """Return the output of one sample, (time, units) or (units,)."""
        outputs: list[list[Any]] = []
        for t in reversed(range(len(x))) if self.attrs.reverse else range(len(x)):
            if mask[t]:
                state = self._step(x[t], state)
                outputs.append(state[0])
            elif self.attrs.zero_masked or not outputs:
                outputs.append([self.dtype(0)] * self.units)
            else:
                outputs.append(outputs[-1])
        kinds = {"sequence": outputs, "last": outputs[-1], "state": state[0], "cell": state[-1]}
        return np.array(kinds[self.attrs.output], self.dtype)


def loops(attrs: Attrs) -> Callable[[Sequence[NDArray[Any]], Arrays], NDArray[Any]]:
    def oracle(inputs: Sequence[NDArray[Any]], params: Arrays) -> NDArray[Any]:
        rows = Loops(attrs, params, inputs[0].dtype.type)
        states = STATES[type(attrs).__name__]
        return np.array([_sample(rows, attrs, [x[n] for x in inputs], states) for n in range(len(inputs[0]))])

    return oracle


def _sample(rows: Loops, attrs: Attrs, inputs: list[NDArray[Any]], states: int) -> NDArray[Any]:
    x, *others = inputs
    mask = others.pop(0) if attrs.masked else np.ones(len(x))
    state = [list(s) for s in others] if attrs.initial_state else [[rows.dtype(0)] * rows.units] * states
    return rows.run(x, mask, state)


def weights_of(
    attrs: Attrs, rng: np.random.Generator, channels: int, units: int, *, sparse: str = "", bias: bool = True
) -> dict[str, Any]:
    """Random parameters; ``sparse`` names the matrices ("w", "u") that are stored as sparse rows."""
    columns = GATES[type(attrs).__name__] * units
    params: dict[str, Any] = {
        "weight": rng.standard_normal((channels, columns)).astype(F),
        "recurrent_weight": (rng.standard_normal((units, columns)) / math.sqrt(units)).astype(F),
    }
    for letter, role in (("w", "weight"), ("u", "recurrent_weight")):
        if letter in sparse:
            params[role] = sparse_encoding(params[role] * (rng.random(params[role].shape) < 0.6))
    if bias:
        params["bias"] = rng.standard_normal(columns)
        if getattr(attrs, "linear_before_reset", False):
            params["recurrent_bias"] = rng.standard_normal(columns)
    return params


def inputs_of(
    attrs: Attrs, rng: np.random.Generator, samples: int, time: int, channels: int, units: int
) -> list[NDArray[np.float64]]:
    inputs = [rng.standard_normal((samples, time, channels))]
    if attrs.masked:
        inputs.append((rng.random((samples, time)) < 0.6).astype(np.float64))
    if attrs.initial_state:
        inputs += [rng.standard_normal((samples, units)) for _ in range(STATES[type(attrs).__name__])]
    return inputs


@st.composite
def some_attrs(draw: st.DrawFn) -> Attrs:
    kind = draw(st.sampled_from([RNN, LSTM, GRU]))
    bounded = ["tanh", "sigmoid", "softsign", "hard_sigmoid", "hard_sigmoid_fifth"]
    fields: dict[str, Any] = {
        "activation": draw(st.sampled_from([*bounded, "relu", "linear", "softplus", "elu", "selu", "swish"])),
        "output": draw(st.sampled_from(["sequence", "last", "state", *(["cell"] if kind is LSTM else [])])),
    }
    for name in (
        "reverse",
        "masked",
        "zero_masked",
        "initial_state",
        *(["linear_before_reset"] if kind is GRU else []),
    ):
        fields[name] = draw(st.booleans())
    if kind is not RNN:
        fields["recurrent_activation"] = draw(st.sampled_from(bounded))
    attrs: Attrs = kind(**fields)
    return attrs


@given(
    some_attrs(),
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)),
    st.sampled_from(["", "w", "u", "wu"]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_recurrences_equal_the_formulas(
    attrs: Attrs, sizes: tuple[int, int, int], sparse: str, bias: bool, seed: int
) -> None:
    time, channels, units = sizes
    rng = np.random.default_rng(seed)
    params = weights_of(attrs, rng, channels, units, sparse=sparse, bias=bias)
    inputs = inputs_of(attrs, rng, 2, time, channels, units)
    check_op(OPS[type(attrs).__name__], attrs, inputs, loops(attrs), params=params, exact_oracle=loops(attrs))


@pytest.mark.parametrize("kind", [RNN, LSTM, GRU])
def test_the_exponential_as_activation(kind: type[Any]) -> None:
    attrs, rng = kind("exponential"), np.random.default_rng(3)
    params = {role: 0.1 * value for role, value in weights_of(attrs, rng, 3, 2).items()}
    oracle = loops(attrs)
    check_op(OPS[kind.__name__], attrs, [rng.standard_normal((2, 2, 3))], oracle, params=params, exact_oracle=oracle)


def test_the_twin_continues_the_sum_of_the_input() -> None:
    # 2^24 + 1 - 2^24 is 0 in float32 from left to right; the sum of the state alone would be 1 - 2^24
    params = {"weight": encodings.encode([[2.0**24]]), "recurrent_weight": encodings.encode([[1.0]])}
    attrs = RNN("linear", initial_state=True)
    h = np.array([[1.0]], F)
    x = np.array([[[1.0]]], F)
    assert OPS["RNN"].exact(attrs, [x, h], params).item() == 2.0**24
    assert OPS["RNN"].exact(attrs, [-x, h], params).item() == -(2.0**24) + 1


EVERY_KIND: list[Attrs] = [
    RNN(masked=True, initial_state=True),
    RNN("softplus", reverse=True, output="last"),
    LSTM(),
    LSTM(masked=True, initial_state=True, reverse=True),
    LSTM("softsign", "hard_sigmoid", output="cell", masked=True),
    LSTM("swish", "sigmoid", output="last", masked=True, zero_masked=True, initial_state=True),
    LSTM("elu", output="state", masked=True, initial_state=True),
    GRU(),
    GRU(linear_before_reset=True),
    GRU(masked=True, initial_state=True, zero_masked=True),
    GRU("selu", "hard_sigmoid_fifth", linear_before_reset=True, masked=True, initial_state=True, output="last"),
    GRU(linear_before_reset=True, reverse=True, masked=True, initial_state=True, output="state"),
]


@pytest.mark.parametrize("attrs", EVERY_KIND, ids=str)
def test_gradients_equal_differences(attrs: Attrs) -> None:
    rng = np.random.default_rng(5)
    op, time, channels, units = OPS[type(attrs).__name__], 4, 3, 2
    inputs = inputs_of(attrs, rng, 3, time, channels, units)
    if attrs.masked:
        inputs[1][0], inputs[1][1] = [0, 1, 0, 0], [0, 0, 0, 0]  # the first steps, the last ones, all of them
    by_input, _ = check_grad(op, attrs, inputs, params=weights_of(attrs, rng, channels, units))
    check_grad(op, attrs, inputs, params=weights_of(attrs, rng, channels, units, sparse="wu", bias=False))
    if attrs.masked:
        assert not by_input[1].any()
        assert not by_input[0][1].any(), "nothing depends on the inputs of masked steps"


@pytest.mark.parametrize("name", FORMULAS)
def test_functions_depart_from_their_tangents_by_no_more_than_the_bend(name: str) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(0, 3, 3000)
    d = rng.normal(size=3000) * 10.0 ** rng.uniform(-6, 1, 3000)
    y = gate_functions.forward(name, x)
    np.testing.assert_allclose(y, [FORMULAS[name](v) for v in x], rtol=1e-14, atol=1e-14)
    tangent = y + gate_functions.vjp(name, x, y, np.ones_like(x)) * d
    departure = np.abs(gate_functions.forward(name, x + d) - tangent)
    assert (departure <= gate_functions.bend(name, x, np.abs(d)) + 1e-14 * (1 + np.abs(y))).all()


def test_every_function_is_checked() -> None:
    assert set(FORMULAS) == set(gate_functions.FUNCTIONS)


def trained_like(attrs: Attrs, units: int, channels: int, seed: int = 0) -> dict[str, Encoding]:
    """Weights as an initializer of Keras makes them."""
    rng, gates = np.random.default_rng(seed), GATES[type(attrs).__name__]
    limit = math.sqrt(6 / (channels + gates * units))
    basis, _ = np.linalg.qr(rng.standard_normal((gates * units, units)))
    params = {
        "weight": rng.uniform(-limit, limit, (channels, gates * units)),
        "recurrent_weight": np.ascontiguousarray(basis.T),
        "bias": np.repeat(np.arange(gates) == 1, units).astype(float),
    }
    return {role: encodings.encode(value.astype(F)) for role, value in params.items()}


def bound_of(
    attrs: Attrs, inputs: Sequence[NDArray[Any]], params: dict[str, Encoding], errors: Sequence[NDArray[Any]] = ()
) -> tuple[NDArray[Any], NDArray[Any]]:
    op = OPS[type(attrs).__name__]
    x64 = [x.astype(np.float64) for x in inputs]
    errors = errors or [np.zeros_like(x) for x in x64]
    reference = op.forward(attrs, x64, params)
    return reference, op.error_bound(attrs, x64, errors, params, reference, deterministic_gamma)


@pytest.mark.parametrize("attrs", [RNN(), LSTM(), GRU(), GRU(linear_before_reset=True)], ids=str)
def test_the_bound_stays_meaningful_over_a_hundred_steps(attrs: Attrs) -> None:
    rng = np.random.default_rng(2)
    x = rng.standard_normal((2, 100, 16)).astype(F)
    params = trained_like(attrs, 32, 16)
    reference, bound = bound_of(attrs, [x], params)
    errors = np.abs(OPS[type(attrs).__name__].exact(attrs, [x], params) - reference)
    assert (errors <= bound).all()
    assert bound.max() < 1e-3
    np.testing.assert_array_less(bound[:, -1], 4 * bound[:, 30].max())


def test_without_signs_the_bound_is_larger_and_still_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    attrs = LSTM(masked=True)
    inputs = inputs_of(attrs, np.random.default_rng(2), 2, 40, 8, 32)
    inputs = [x.astype(F) for x in inputs]
    params = trained_like(attrs, 32, 8)
    reference, bound = bound_of(attrs, inputs, params)
    monkeypatch.setattr(recurrent_bounds, "MOST_PRODUCTS", 0)
    _, plain = bound_of(attrs, inputs, params)
    assert (plain >= bound).all()
    assert plain.max() > 2 * bound.max()
    assert (np.abs(OPS["LSTM"].forward(attrs, inputs, params) - reference) <= plain).all()


@pytest.mark.parametrize("attrs", EVERY_KIND, ids=str)
def test_the_bound_covers_the_worst_errors_of_the_inputs(attrs: Attrs) -> None:
    rng, op = np.random.default_rng(8), OPS[type(attrs).__name__]
    inputs = inputs_of(attrs, rng, 4, 6, 3, 2)
    params = {role: encodings.encode(value) for role, value in weights_of(attrs, rng, 3, 2).items()}
    for size in (1e-9, 1e-3, 0.3, 3.0):
        errors = [np.full(x.shape, size) for x in inputs]
        if attrs.masked:
            errors[1][...] = 0
        reference, bound = bound_of(attrs, inputs, params, errors)
        worst = np.zeros_like(bound)
        for _ in range(100):
            moved = [x + e * rng.choice([-1, 1], x.shape) for x, e in zip(inputs, errors, strict=True)]
            worst = np.maximum(worst, np.abs(op.forward(attrs, moved, params) - reference))
        assert (worst <= bound).all()


def test_a_mask_that_may_be_wrong_bounds_nothing() -> None:
    attrs = GRU(masked=True)
    inputs = [np.ones((4, 2, 1)), np.array([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0], [0.0, 0.0]])]
    errors = [np.zeros((4, 2, 1)), np.array([[0.01, 0.0], [0.0, 0.0], [0.0, 1e-9], [0.6, 0.0]])]
    params = trained_like(attrs, 1, 1)
    _, bound = bound_of(attrs, inputs, params, errors)
    assert np.isfinite(bound).all((1, 2)).tolist() == [True, True, False, False]


def test_infinite_errors_give_no_small_bound() -> None:
    attrs = LSTM("relu", initial_state=True)
    inputs = [np.ones((2, 3, 1)), np.ones((2, 2)), np.ones((2, 2))]
    errors = [np.zeros((2, 3, 1)), np.zeros((2, 2)), np.array([[0.0, 0.0], [np.inf, 0.0]])]
    with np.errstate(all="ignore"):
        _, bound = bound_of(attrs, inputs, trained_like(attrs, 2, 1), errors)
    assert np.isfinite(bound[0]).all()
    assert not (bound[1, :, 0] < 1e30).any()


@pytest.mark.parametrize("split", [False, True])
def test_the_bound_covers_other_orders_of_the_same_sums(split: bool) -> None:
    """Float32 steps with permuted sums, gates from split products, and g + z (h - g)."""
    rng, units, channels, time = np.random.default_rng(9), 24, 10, 40
    attrs = GRU(linear_before_reset=True)
    params = trained_like(attrs, units, channels)
    x = rng.standard_normal((1, time, channels)).astype(F)
    reference, bound = bound_of(attrs, [x], params)
    weight, recurrent, bias = (encodings.decode(params[role]) for role in ("weight", "recurrent_weight", "bias"))
    h = np.zeros(units, F)
    for t in range(time):
        order = rng.permutation(channels)
        of_x = [sum((x[0, t, k] * weight[k, j] for k in order), F(0)) + bias[j] for j in range(3 * units)]
        of_h = np.array([(recurrent[:, j] * h)[rng.permutation(units)].sum(dtype=F) for j in range(3 * units)])
        a, b = np.array(of_x, F).reshape(3, units), of_h.reshape(3, units)
        z, r = F(1) / (F(1) + np.exp(-(a[0] + b[0]))), F(0.5) * np.tanh(F(0.5) * (a[1] + b[1])) + F(0.5)
        g = np.tanh(a[2] + r * b[2])
        h = g + z * (h - g) if split else g - z * g + z * h
        assert (np.abs(h - reference[0, t]) <= bound[0, t]).all()


def test_a_network_with_an_lstm_has_probed_bounds() -> None:
    attrs = LSTM(masked=True, output="last")
    params = trained_like(attrs, 8, 3)
    roles = {role: f"lstm/{role}" for role in params}
    graph = Graph(
        (TensorSpec("x", (12, 3)), TensorSpec("mask", (12,))),
        ("y",),
        (Node("LSTM", "lstm", ("x", "mask"), "y", roles, attrs),),
        {roles[role]: value for role, value in params.items()},
    )
    rng = np.random.default_rng(4)
    inputs = {"x": rng.standard_normal((3, 12, 3)).astype(F), "mask": (rng.random((3, 12)) < 0.7).astype(F)}
    _, probed = error_bounds(graph, inputs, model="probed")
    assert 0 < probed["y"].max() < 1e-4


def test_macs_count_stored_weights_at_every_step() -> None:
    attrs = GRU()
    params = {
        role: encodings.encode(value) for role, value in weights_of(attrs, np.random.default_rng(0), 5, 2).items()
    }
    assert OPS["GRU"].macs(attrs, [(7, 5)], (7, 2), params) == 7 * (5 * 6 + 2 * 6)
    params["weight"] = sparse_encoding(np.eye(5, 6, dtype=F))
    assert OPS["GRU"].macs(attrs, [(7, 5)], (7, 2), params) == 7 * (5 + 2 * 6)


GOOD: dict[str, tuple[int, ...]] = {"weight": (3, 8), "recurrent_weight": (2, 8), "bias": (8,)}

OF_GRU: dict[str, tuple[int, ...]] = {
    "weight": (3, 6),
    "recurrent_weight": (2, 6),
    "bias": (6,),
    "recurrent_bias": (6,),
}


@pytest.mark.parametrize(
    ("attrs", "inputs", "changed", "message"),
    [
        (LSTM(), [(5,)], {}, r"shape \(5,\); it must be \(time, channels\)"),
        (LSTM(), [(5, 4)], {}, r"a weight of shape \(3, 8\); .* take \(4, 8\)"),
        (LSTM(), [(5, 3)], {"recurrent_weight": (8, 2)}, r"it must be \(units, 4 \* units\)"),
        (LSTM(), [(5, 3)], {"bias": (2,)}, r"a bias of shape \(2,\)"),
        (LSTM(), [(5, 3), (5,)], {}, "2 inputs; with masked=False and initial_state=False it takes 1"),
        (LSTM(masked=True), [(5, 3), (5, 1)], {}, r"a mask of shape \(5, 1\)"),
        (LSTM(initial_state=True), [(5, 3), (2,)], {}, "it takes 3"),
        (LSTM(initial_state=True), [(5, 3), (2,), (3,)], {}, r"an initial state of shape \(3,\); it must be \(2,\)"),
        (GRU(), [(5, 3)], OF_GRU, "only linear_before_reset"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(
    attrs: Attrs, inputs: list[tuple[int, ...]], changed: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        OPS[type(attrs).__name__].infer_shape(attrs, inputs, {**GOOD, **changed})


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ModelError, match=r"the activation 'sigmod' \(did you mean 'sigmoid'\?\)"):
        LSTM(recurrent_activation="sigmod")
    with pytest.raises(ModelError, match="the output 'cell'; there are sequence, last, state"):
        GRU(output="cell")


# --- other frameworks ---


def framework(name: str) -> Any:
    """Import a framework, whose warnings are its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(name, reason=f"{name} is not installed; the layers are compared where it is")


def agrees(attrs: Attrs, inputs: list[NDArray[Any]], params: dict[str, NDArray[Any]], wanted: NDArray[Any]) -> None:
    """Compare with the float32 output of a framework, by our bound, which must be small."""
    encoded = {role: encodings.encode(np.ascontiguousarray(value, F)) for role, value in params.items()}
    reference, bound = bound_of(attrs, inputs, encoded)
    assert wanted.shape == reference.shape
    assert (np.abs(wanted - reference) <= bound).all()
    assert bound.max() < 1e-4


CONFIGS = [
    {"return_sequences": True},
    {"return_sequences": True, "go_backwards": True, "use_bias": False},
    {"return_sequences": False},
    {"return_sequences": True, "zero_output_for_mask": True},
    {"return_sequences": False, "zero_output_for_mask": True, "go_backwards": True},
]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("layer", ["SimpleRNN", "LSTM", "GRU", "GRU_v1"])
@pytest.mark.parametrize("library", ["keras", "tf_keras"])
def test_keras_layers_agree(library: str, layer: str, config: dict[str, Any]) -> None:
    keras = framework(library)
    tensor = keras.ops.convert_to_tensor if library == "keras" else framework("tensorflow").constant
    rng = np.random.default_rng(11)
    hard = "hard_sigmoid" if library == "keras" else "hard_sigmoid_fifth"
    extra = {"GRU": {"reset_after": True}, "GRU_v1": {"reset_after": False}}.get(layer, {})
    made = getattr(keras.layers, layer.removesuffix("_v1"))
    units, steps, channels = 4, 6, 3
    for gate, masked, initial in itertools.product(("sigmoid", "hard_sigmoid"), (False, True), (False, True)):
        gates = {} if layer == "SimpleRNN" else {"recurrent_activation": gate}
        net = made(units, return_state=True, **config, **extra, **gates)
        x = rng.standard_normal((3, steps, channels)).astype(F)
        mask = rng.random((3, steps)) < 0.6
        mask[0], mask[1] = [1, 1, 1, 1, 0, 0], 0
        states = [rng.standard_normal((3, units)).astype(F) for _ in range(1 + (layer == "LSTM"))]
        net.build((3, steps, channels))
        net.set_weights([rng.standard_normal(w.shape).astype(F) * 0.5 for w in net.get_weights()])
        first = [tensor(state) for state in states] if initial else None
        result = net(tensor(x), initial_state=first, **({"mask": tensor(mask)} if masked else {}))
        outputs = [np.asarray(part) for part in result]
        kernel, recurrent, *bias = net.get_weights()
        params = {"weight": kernel, "recurrent_weight": recurrent}
        if bias and bias[0].ndim == 2:
            params |= {"bias": bias[0][0], "recurrent_bias": bias[0][1]}
        elif bias:
            params["bias"] = bias[0]
        kind = {"SimpleRNN": RNN, "LSTM": LSTM}.get(layer, GRU)
        fields: dict[str, Any] = {
            "reverse": config.get("go_backwards", False),
            "zero_masked": config.get("zero_output_for_mask", False),
            "masked": masked,
            "initial_state": initial,
        }
        if kind is not RNN:
            fields["recurrent_activation"] = hard if gate == "hard_sigmoid" else gate
        if kind is GRU:
            fields["linear_before_reset"] = layer == "GRU"
        inputs = [x, *([mask.astype(F)] if masked else []), *(states if initial else [])]
        kinds = ["sequence" if config["return_sequences"] else "last", "state", "cell"]
        for output, wanted in zip(kinds, outputs, strict=False):
            agrees(kind(output=output, **fields), inputs, params, wanted)


@pytest.mark.parametrize("layer", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("reverse", [False, True])
def test_torch_layers_agree(layer: str, reverse: bool) -> None:
    torch = framework("torch")
    torch.manual_seed(0)
    units, channels, gates = 5, 3, GATES[layer]
    net = getattr(torch.nn, layer)(channels, units, batch_first=True, bidirectional=reverse)
    rng = np.random.default_rng(12)
    x = rng.standard_normal((2, 7, channels)).astype(F)
    states = [rng.standard_normal((2, units)).astype(F) for _ in range(STATES[layer])]
    directions = 1 + reverse
    first = tuple(torch.tensor(np.stack([state] * directions)) for state in states)
    with torch.no_grad():
        sequence, last = net(torch.tensor(x), first if layer == "LSTM" else first[0])
    arrays = {name: value.numpy() for name, value in net.state_dict().items()}
    order = {"RNN": [0], "LSTM": [0, 1, 2, 3], "GRU": [1, 0, 2]}[layer]  # torch's GRU has r, z, n

    def gate_order(name: str) -> NDArray[Any]:
        array = arrays[name + ("_reverse" if reverse else "")]
        return np.concatenate([array.reshape(gates, units, -1)[k] for k in order]).reshape(array.shape)

    params = {"weight": gate_order("weight_ih_l0").T, "recurrent_weight": gate_order("weight_hh_l0").T}
    biases = gate_order("bias_ih_l0"), gate_order("bias_hh_l0")
    params |= {"bias": biases[0], "recurrent_bias": biases[1]} if layer == "GRU" else {"bias": biases[0] + biases[1]}
    kind = {"RNN": RNN, "LSTM": LSTM, "GRU": GRU}[layer]
    fields: dict[str, Any] = {"reverse": reverse, "initial_state": True}
    if layer == "GRU":
        fields["linear_before_reset"] = True
    wanted = sequence.numpy()[:, ::-1, units:] if reverse else sequence.numpy()
    agrees(kind(**fields), [x, *states], params, wanted)
    hidden = last[0] if layer == "LSTM" else last
    agrees(kind(output="state", **fields), [x, *states], params, hidden.numpy()[-1])
    if layer == "LSTM":
        agrees(kind(output="cell", **fields), [x, *states], params, last[1].numpy()[-1])
