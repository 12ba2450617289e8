"""LSTM, GRU and RNN in exported C: all forms of both weights, all attributes, bit for bit the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from checks import targets
from checks.export import check_export
from checks.forms import Form, all_forms, make_weight, samples
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import exporters.c
from exporters.lower import lower
from exporters.lowering.recurrent import FUNCTIONS, OUTPUTS
from exporters.program import form_name, form_of
from exporters.streams import rows_between, single_streams
from refcompress import Graph, Node, TensorSpec, encodings, ops
from refcompress.ops import gate_functions, recurrent, weights
from refcompress.ops.weights import SparseRows

TIME, CHANNELS, UNITS = 4, 5, 3
# cell -> operator, gates, attributes
CELLS: dict[str, tuple[str, int, dict[str, Any]]] = {
    "lstm": ("LSTM", 4, {}),
    "gru_reset_after": ("GRU", 3, {"linear_before_reset": True}),
    "gru_reset_before": ("GRU", 3, {"linear_before_reset": False}),
    "rnn": ("RNN", 1, {}),
}


class Layers:
    """Recurrent layers that read the same input, each with inputs for its mask and its states."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.specs = [TensorSpec("x", (TIME, CHANNELS))]
        self.nodes: list[Node] = []
        self.params: dict[str, encodings.Encoding] = {}

    def add(self, cell: str, forms: tuple[Form, Form], *, bias: bool = True, **attrs: Any) -> None:
        """Add a layer with its input's weight and the state's in these forms."""
        op, gates, more = CELLS[cell]
        name, columns = f"n{len(self.nodes)}", gates * UNITS
        roles = {"weight": f"{name} w", "recurrent_weight": f"{name} r"}
        shapes = ((CHANNELS, columns), (UNITS, columns))
        for role, shape, form in zip(roles.values(), shapes, forms, strict=True):
            self.params[role] = make_weight(self.rng, shape, form, density=0.6)
        if bias:
            roles["bias"] = f"{name} b"
            if cell == "gru_reset_after":
                roles["recurrent_bias"] = f"{name} c"
        self.params |= {
            roles[role]: encodings.encode(self.rng.normal(size=columns)) for role in roles if "bias" in role
        }
        masked, stateful = attrs.get("masked", False), attrs.get("initial_state", False)
        given = [TensorSpec(f"{name} mask", (TIME,))] if masked else []
        states = ("h", "c") if op == "LSTM" else ("h",)
        given += [TensorSpec(f"{name} {state}", (UNITS,)) for state in states] if stateful else []
        self.specs += given
        inputs = ("x", *(spec.name for spec in given))
        self.nodes.append(Node(op, name, inputs, name, roles, ops.OPS[op].attrs(**more, **attrs)))

    def graph(self) -> Graph:
        """Return the network: one output for each layer."""
        return Graph(tuple(self.specs), tuple(node.output for node in self.nodes), tuple(self.nodes), self.params)

    def inputs(self, count: int = 2) -> list[NDArray[np.float32]]:
        """Random inputs; masks have zeros and ones."""
        graph = self.graph()
        arrays = samples(self.rng, graph, count)
        for spec, array in zip(graph.inputs, arrays, strict=True):
            if spec.name.endswith("mask"):
                array[...] = self.rng.integers(0, 2, array.shape)
        return arrays

    def check(self, *on: targets.Target) -> None:
        """Compile all of them and compare."""
        check_export(self.graph(), self.inputs(), on=on or (targets.GCC,), max_table_bits=2)


def in_every_form(cell: str) -> Layers:
    """Make a layer for each form of the state's weight, with another form of the input's beside it."""
    layers = Layers(1)
    forms = list(all_forms())
    for i, form in enumerate(forms):
        layers.add(cell, (forms[(7 * i + 3) % len(forms)], form), bias=bool(i % 3))
    return layers


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("target", [targets.GCC, targets.SANITIZED, targets.M4], ids=lambda target: target.name)
def test_every_form_of_both_weights_equals_the_reference(target: targets.Target, cell: str) -> None:
    in_every_form(cell).check(target)


@pytest.mark.parametrize("target", [targets.CLANG, targets.S390X, targets.RV32], ids=lambda target: target.name)
def test_other_machines_equal_the_reference(target: targets.Target) -> None:
    layers, forms = Layers(2), list(all_forms())
    for i, cell in enumerate(CELLS):
        layers.add(cell, (forms[0], forms[-i - 1]), reverse=True)
    layers.check(target)


FORMS = [form for form in all_forms() if form.long_gap == "escape"]


@settings(max_examples=10, phases=[Phase.generate])  # each is compiled, and shrinking one would take minutes
@given(st.integers(0, 99), st.data())
def test_random_attributes_equal_the_reference(seed: int, data: st.DataObject) -> None:
    layers, draw = Layers(seed), data.draw
    for cell in CELLS:
        op = CELLS[cell][0]
        attrs = {name: draw(st.booleans()) for name in ("reverse", "masked", "zero_masked", "initial_state")}
        attrs["output"] = draw(st.sampled_from([*OUTPUTS] if op == "LSTM" else [*recurrent.OUTPUTS]))
        attrs["activation"] = draw(st.sampled_from([*gate_functions.FUNCTIONS]))
        if op != "RNN":
            attrs["recurrent_activation"] = draw(st.sampled_from([*gate_functions.FUNCTIONS]))
        forms = draw(st.sampled_from(FORMS)), draw(st.sampled_from(FORMS))
        layers.add(cell, forms, bias=draw(st.booleans()), **attrs)
    layers.check()


def test_masks_of_all_kinds_equal_the_reference() -> None:
    layers, dense = Layers(4), next(all_forms())
    for zero_masked in (False, True):
        for output in OUTPUTS:
            layers.add("lstm", (dense, dense), masked=True, zero_masked=zero_masked, output=output, initial_state=True)
    graph = layers.graph()
    masks = np.array([[0, 0, 0, 0], [0, 1, 0, 1], [1, 0, 1, 0], [1, 1, 1, 1], [0.5, 0.75, np.nan, 0]], np.float32)
    arrays = samples(layers.rng, graph, len(masks))
    arrays = [masks if spec.name.endswith("mask") else x for spec, x in zip(graph.inputs, arrays, strict=True)]
    check_export(graph, arrays, on=(targets.GCC,))


def test_every_gate_function_has_a_kernel() -> None:
    assert FUNCTIONS.keys() == gate_functions.FUNCTIONS.keys()
    layers, dense = Layers(5), next(all_forms())
    for name in FUNCTIONS:
        layers.add("gru_reset_before", (dense, dense), activation=name, recurrent_activation=name)
    layers.check()


def test_states_are_scratch_memory_of_the_layer_alone() -> None:
    layers, dense = Layers(6), next(all_forms())
    layers.add("lstm", (dense, dense), output="last")
    assert [step.scratch_bytes for step in lower(layers.graph()).steps] == [4 * 6 * UNITS]
    header = exporters.c.export(layers.graph(), prefix="net")["net.h"].decode()
    assert f"#define NET_ARENA_BYTES {4 * 6 * UNITS}\n" in header


def _stored(encoding: encodings.Encoding) -> tuple[NDArray[Any], ...]:
    """Values, columns and rows of what is stored, fillers included."""
    rows = weights.weight(encoding, np.float32)
    if isinstance(rows, SparseRows):
        return rows.data, rows.indices, rows.indptr
    return (rows,)


@given(st.sampled_from(list(all_forms())), st.integers(0, 2**32 - 1), st.data())
def test_rows_are_cut_out_with_all_that_is_stored(form: Form, seed: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    columns, rows = data.draw(st.integers(1, 9)), data.draw(st.integers(2, 9))
    whole = single_streams(make_weight(rng, (columns, rows), form, density=data.draw(st.sampled_from([0.1, 0.5]))))
    cut = data.draw(st.integers(1, rows - 1))
    parts = [rows_between(whole, 0, cut), rows_between(whole, cut, rows)]
    assert {form_name(form_of(part)) for part in parts} == {form_name(form_of(whole))}
    stored = [_stored(part) for part in parts]
    if len(stored[0]) == 1:
        np.testing.assert_array_equal(np.concatenate([part[0] for part in stored]), _stored(whole)[0])
        return
    data_of, indices, indptr = _stored(whole)
    np.testing.assert_array_equal(np.concatenate([part[0] for part in stored]), data_of)
    np.testing.assert_array_equal(np.concatenate([part[1] for part in stored]), indices)
    ends = stored[0][2][-1]
    np.testing.assert_array_equal(np.concatenate([stored[0][2], stored[1][2][1:] + ends]), indptr)
