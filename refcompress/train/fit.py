"""Fit: one deterministic training loop with constraints, validation, early stopping and resumable checkpoints."""

from __future__ import annotations

import fnmatch
import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.encodings import decode, encode
from refcompress.errors import DataError, OptionError
from refcompress.gradients import gradients
from refcompress.graph import Graph
from refcompress.run import Inputs
from refcompress.train import checkpoints, constraints
from refcompress.train.checkpoints import RunState, Standing
from refcompress.train.clipping import clip_by_global_norm
from refcompress.train.constraints import Array
from refcompress.train.modes import running_moments, training_mode
from refcompress.train.plan import Epoch, Fitted, Plan, Progress
from refcompress.train.samples import (
    Samples,
    Targets,
    all_targets,
    augmented,
    dropout_random,
    order_of,
    samples_of,
    split,
)
from refcompress.train.scoring import logits_graph, score_of
from refcompress.train.simulated_activations import Ends
from refcompress.train.sparse_operators import sparse_operators


@dataclass(frozen=True, slots=True, eq=False)
class _Task:
    """All that does not change while a network is trained."""

    graph: Graph
    plan: Plan
    training: Samples
    validation: Samples | None

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(len(self.training) / self.plan.batch_size)

    @property
    def steps(self) -> int:
        return self.steps_per_epoch * self.plan.epochs


def fit(
    graph: Graph,
    inputs: Inputs,
    targets: Targets,
    plan: Plan,
    *,
    validation: tuple[Inputs, Targets] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = 60.0,
    progress: Callable[[Progress], None] | None = None,
) -> Fitted:
    """Train a network of one output.

    The same arguments give the same bytes, on the same machine with the same libraries and number of BLAS threads:
    whatever is random depends on ``plan.seed`` and on the number of the step or the epoch alone. All arithmetic is
    float32.

    Parameters
    ----------
    graph
        The network; parameters in any encoding. Those in the roles ``mean`` and ``var`` are not trained: they follow
        the moments of the batches; nor are constant bases and exponents of powers.
    inputs
        As in :func:`refcompress.run.run`.
    targets
        What the loss gets after the output: one array (samples, ...), or a tuple of them.
    plan
        What to do.
    validation
        Inputs and targets to choose the best epoch by; without them a share ``plan.validation`` is set aside.
    checkpoint
        A file. If it exists the training goes on from there, and ends with exactly the weights of one that was never
        interrupted; it is written at the end of each epoch and now and then between, always whole.
    checkpoint_seconds
        Time from one checkpoint within an epoch to the next.
    progress
        Called after each step.

    Returns
    -------
    Fitted
        The network with its new weights, and what each epoch gave.

    Raises
    ------
    DataError
        Arrays do not fit the network or each other, the checkpoint is of another training, or the loss is no longer
        finite.
    OptionError
        The plan does not fit the network.
    FormatError
        The checkpoint is damaged.

    Examples
    --------
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> from refcompress.train import Sgd, losses
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (1,)),), ("y",), (node,), {"w": encode([[0.0]])})
    >>> x = np.arange(1.0, 5.0).reshape(4, 1)
    >>> plan = Plan(epochs=50, batch_size=2, optimizer=Sgd(), rate=0.05, loss=losses.mean_squared_error)
    >>> decode(fit(graph, x, 3 * x, plan).graph.params["w"]).round(3)
    array([[3.]], dtype=float32)

    """
    task = _task(graph, inputs, targets, plan, validation)
    # the fingerprint takes reading all samples once; without a checkpoint nobody asks for it
    fingerprint = "" if checkpoint is None else _fingerprint(task)
    state = _begin(task)
    if checkpoint is not None and Path(checkpoint).exists():
        state = checkpoints.load(checkpoint, fingerprint)
    clock = _Clock(state.count)
    saved_at = time.monotonic()
    while state.count < task.steps and not state.stopped:
        state = _advance(task, state)
        ended = state.count % task.steps_per_epoch == 0
        if checkpoint is not None and (ended or time.monotonic() - saved_at >= checkpoint_seconds):
            checkpoints.save(checkpoint, state, fingerprint)
            saved_at = time.monotonic()
        if progress is not None:
            progress(clock.report(task, state))
    return _fitted(graph, task, state)


def _task(
    graph: Graph, inputs: Inputs, targets: Targets, plan: Plan, validation: tuple[Inputs, Targets] | None
) -> _Task:
    if len(graph.outputs) != 1:
        raise OptionError(f"a network with the outputs {list(graph.outputs)}; training takes one: cut the others off")
    if plan.augment is not None and len(graph.inputs) != 1:
        raise OptionError("augmentation of a network with several inputs; augment the data before instead")
    trained = logits_graph(graph) if plan.from_logits else graph
    samples = samples_of(graph, inputs, targets)
    held_out = None if validation is None else samples_of(graph, *validation)
    if validation is None and plan.validation:
        samples, held_out = split(plan, samples)
    return _Task(trained, plan, samples, held_out)


def _begin(task: _Task) -> RunState:
    kept = {name for _, role, name in task.graph.weights() if role in {"mean", "var"}}
    used = dict.fromkeys(name for _, _, name in task.graph.weights())
    for pattern in task.plan.frozen:
        if not fnmatch.filter(used, pattern):
            raise OptionError(f"no parameter is named {pattern!r}; there are {', '.join(used)}")
    values = {name: np.asarray(decode(task.graph.params[name]), np.float32) for name in used}
    frozen = {name for pattern in task.plan.frozen for name in fnmatch.filter(used, pattern)}
    # of Pow: an exponent of 2.001 would make NaN of every negative base
    frozen |= {name for _, role, name in task.graph.weights() if role in {"base", "exponent"}}
    moving = {name: array for name, array in values.items() if name not in kept | frozen}
    latents, states = constraints.start(task.plan.constraints, moving)
    latents = {name: np.array(array) for name, array in latents.items()}  # steps write into them
    ranges = {} if task.plan.activations is None else task.plan.activations.start()
    now = Standing(latents, states, {name: values[name] for name in kept}, ranges)
    return RunState(0, now, task.plan.optimizer.start(latents))


def _advance(task: _Task, state: RunState) -> RunState:
    """Take one step, and finish the epoch if it was its last."""
    epoch, position = divmod(state.count, task.steps_per_epoch)
    order = order_of(task.plan, epoch, len(task.training))
    size = task.plan.batch_size
    batch = task.training[order[position * size : (position + 1) * size]]
    state, loss = _step(task, state, augmented(task.plan, batch, state.count))
    if not math.isfinite(loss):
        raise DataError(f"the loss is {loss} at step {state.count}; lower the rate, or clip the gradients")
    state = replace(state, loss_total=state.loss_total + loss * len(batch))
    return _finish_epoch(task, state) if state.count % task.steps_per_epoch == 0 else state


def _step(task: _Task, state: RunState, batch: Samples) -> tuple[RunState, float]:
    plan, held, now = task.plan, task.plan.constraints, state.now
    mode = training_mode(task.graph, dropout_random(plan, state.count), batch_moments=plan.batch_moments)
    params = constraints.effective(held, now.latents, now.constraints)
    targets, values = all_targets(plan, batch), []
    seen: Ends = {}

    def slope(outputs: tuple[Array, ...]) -> tuple[Array]:
        value, gradient = plan.loss(outputs[0], *targets)
        values.append(value)
        return (gradient,)

    given = params if plan.batch_moments else {**params, **now.running}
    operators = {**sparse_operators(task.graph, constraints.support(held, now.constraints)), **mode.operators}
    if plan.activations is not None:
        operators = plan.activations.operators(task.graph, now.ranges, operators, seen)
    _, _, grads = gradients(task.graph, batch.inputs, slope, params=given, wrt_inputs=False, replaced=operators)
    pulled = constraints.pull(held, {name: grads[name] for name in params}, now.constraints)
    if plan.clip_norm is not None:
        pulled, _ = clip_by_global_norm(pulled, plan.clip_norm)
    own = {name: grad if grad.flags.writeable else grad.copy() for name, grad in pulled.items()}
    latents, optimizer = plan.optimizer.step(now.latents, own, state.optimizer, plan.rate_at(state.count), donate=True)
    latents, states = constraints.follow(held, latents, now.constraints, state.count + 1)
    running = running_moments(task.graph, now.running, mode.moments, plan.moment_memory)
    ranges = now.ranges if plan.activations is None else plan.activations.follow(task.graph, now.ranges, seen)
    after = Standing(latents, states, running, ranges)
    return replace(state, count=state.count + 1, now=after, optimizer=optimizer), values[0]


def _finish_epoch(task: _Task, state: RunState) -> RunState:
    plan, number = task.plan, state.count // task.steps_per_epoch
    score = None if task.validation is None else _score(task, state.now, task.validation)
    epoch = Epoch(number, state.loss_total / len(task.training), score, plan.rate_at(state.count - 1))
    history = (*state.history, epoch)
    state = replace(state, loss_total=0.0, history=history)
    if score is None or number < plan.keep_from:
        return state
    best = min((each.score for each in history[plan.keep_from - 1 : -1] if each.score is not None), default=math.inf)
    if score < best or not state.best_epoch:
        state = replace(state, best_epoch=number)
        if plan.keep == "best":
            state = replace(state, best=state.now.copy())
    waited = number - state.best_epoch
    return replace(state, stopped=plan.patience is not None and waited >= plan.patience)


def _score(task: _Task, now: Standing, samples: Samples) -> float:
    params = {**constraints.effective(task.plan.constraints, now.latents, now.constraints), **now.running}
    graph = task.graph.with_params({name: encode(array) for name, array in params.items()})
    simulated = task.plan.activations
    operators = None if simulated is None else simulated.operators(graph, now.ranges, {})
    return score_of(graph, samples, task.plan, operators)


def _fitted(graph: Graph, task: _Task, state: RunState) -> Fitted:
    final, simulated = state.best or state.now, task.plan.activations
    changed = {
        **constraints.encoded(task.plan.constraints, final.latents, final.constraints),
        **constraints.as_float32(final.running),
    }
    return Fitted(
        graph.with_params(changed),
        state.history,
        state.best_epoch if state.best else state.history[-1].number,
        state.count,
        {} if simulated is None else simulated.quantizations(final.ranges),
    )


def _fingerprint(task: _Task) -> str:
    """Digest of network, data and the options that a checkpoint depends on.

    Functions of the plan cannot be compared; of the rate, its values at the beginning, the middle and the end can.
    """
    plan, digest = task.plan, hashlib.sha256()
    rates = [plan.rate_at(count) for count in (0, 1, task.steps // 2, task.steps - 1)]
    options = (plan.epochs, plan.batch_size, plan.seed, plan.optimizer, plan.clip_norm, plan.frozen, plan.keep)
    more = (plan.keep_from, plan.patience, plan.batch_moments, plan.moment_memory, plan.from_logits, rates)
    held = [(type(each).__name__, each.names) for each in plan.constraints]
    simulated = None if plan.activations is None else (plan.activations.spans, plan.activations.memory)
    network = (task.graph.inputs, task.graph.outputs, task.graph.nodes)
    digest.update(repr((options, more, held, simulated, *network)).encode())
    for name, array in _arrays(task):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _arrays(task: _Task) -> Iterator[tuple[str, NDArray[Any]]]:
    yield from ((name, decode(encoding)) for name, encoding in sorted(task.graph.params.items()))
    for samples in filter(None, (task.training, task.validation)):
        yield from samples.inputs.items()
        yield from (("target", array) for array in samples.targets)


class _Clock:
    """Measures the pace since a training began or resumed."""

    def __init__(self, count: int) -> None:
        self._first = count
        self._begin = time.monotonic()

    def report(self, task: _Task, state: RunState) -> Progress:
        """Return where the training stands."""
        seconds = max(time.monotonic() - self._begin, 1e-9)
        per_second = (state.count - self._first) / seconds
        epoch, position = divmod(state.count - 1, task.steps_per_epoch)
        finished = state.history[-1] if position + 1 == task.steps_per_epoch else None
        seen = min((position + 1) * task.plan.batch_size, len(task.training))
        return Progress(
            step=state.count,
            steps=task.steps,
            epoch=epoch + 1,
            epochs=task.plan.epochs,
            loss=finished.loss if finished else state.loss_total / seen,
            rate=task.plan.rate_at(state.count - 1),
            samples_per_second=per_second * len(task.training) / task.steps_per_epoch,
            seconds_left=(task.steps - state.count) / per_second,
            finished=finished,
        )
