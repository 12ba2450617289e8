"""Deep compression: a recipe's passes and training steps, then the smallest encodings -> (Graph, Report)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from refcompress import steps
from refcompress.analysis.measure import Report
from refcompress.analysis.stages import Measure, Stage, count_weights
from refcompress.encodings import decode
from refcompress.errors import OptionError
from refcompress.graph import Graph
from refcompress.integer import IntegerNetwork
from refcompress.methods import METHODS
from refcompress.methods.plan_options import DEFAULTS, PLAN_OPTIONS, make_plan, scores_errors
from refcompress.options import OPTIONS
from refcompress.passes import LayerRule
from refcompress.post_training import quantize_network
from refcompress.recipe import Recipe, Step
from refcompress.run import check_inputs
from refcompress.steps import Progress
from refcompress.train import Dataset, Fitted, Plan, score
from refcompress.train import Progress as TrainingProgress
from refcompress.train.samples import calibration_samples


@dataclass(frozen=True, slots=True, eq=False)
class _Training:
    """What the training steps of a recipe share.

    Attributes
    ----------
    data
        Samples to learn from and to choose by.
    samples
        How many it learns from.
    judge
        A plan that says what the score of a stage is.
    measure
        What that score is.
    directory
        Where checkpoints are kept, if anywhere.

    """

    data: Dataset
    samples: int
    judge: Plan
    measure: Measure
    directory: Path | None


def deep_compression(
    graph: Graph,
    data: Dataset,
    recipe: Recipe,
    *,
    teacher: Graph | None = None,
    inputs: Mapping[str, Any] | None = None,
    directory: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> tuple[Graph | IntegerNetwork, Report]:
    """Run a recipe's passes and training steps, then store each parameter in the encoding with the fewest true bytes.

    As :func:`refcompress.compress.compress`, for recipes that also train: "Deep Compression" (Han, Mao & Dally 2016)
    is a recipe of pruning with retraining, weight sharing, fine-tuning of the shared values, and the encodings.

    Parameters
    ----------
    graph
        A network of one output, trained or not.
    data
        Samples to learn from, and those that epochs and levels are chosen by. A test set has no place in it.
    recipe
        What to do.
    teacher
        A network that takes the same inputs; if not given, it is the network as given. It teaches the steps with
        ``distill_weight`` until one with ``teacher = true`` has ended, whose network teaches from then on.
    inputs
        Calibration samples by input name for the passes that need them; if not given, up to 1024 training samples.
    directory
        Where checkpoints are kept, in one directory for each training step; it is made if it is missing. Calling
        again with the same arguments goes on from there and ends with the same bytes. Its files are never removed;
        a step whose options, or those of a step before it, have changed gets a new directory.
    progress
        Called with what is being done (in training: epoch, validation error and loss) and the share of the present
        step that is done, 0 to 1.

    Returns
    -------
    network
        The compressed network: an integer network if the recipe ends in ``quantize_network``.
    report
        True bytes of each parameter and of the file, and in ``stages`` what each step left.

    Raises
    ------
    OptionError
        An option is out of range, or a layer rule matches nothing.
    DataError
        Samples do not fit the network, or the directory holds checkpoints of another network or of other data.
    OSError
        The directory cannot be written to.

    Examples
    --------
    >>> from refcompress import recipe
    >>> from refcompress.encodings import encode
    >>> from refcompress.graph import Node, TensorSpec
    >>> from refcompress.ops import NoAttrs
    >>> node = Node("Gemm", "fc", ("x",), "y", {"weight": "w"}, NoAttrs())
    >>> graph = Graph((TensorSpec("x", (2,)),), ("y",), (node,), {"w": encode([[0.1, 0.2], [0.2, 0.1]])})
    >>> x, labels = np.eye(2, dtype=np.float32), np.arange(2)
    >>> learn = recipe.parse('''
    ... [[pass]]
    ... name = "train.fine_tune"
    ... epochs = 30
    ... rate = 0.1
    ... ''')
    >>> small, report = deep_compression(graph, Dataset(x, labels, x, labels), learn)
    >>> [(stage.name, stage.validation) for stage in report.stages]
    [('as given', 1.0), ('train.fine_tune', 0.0), ('encoded', 0.0)]

    """
    advance = progress or (lambda _what, _share: None)
    training = _prepare(graph, data, recipe, directory)
    stages = [_stage("as given", graph, training)]
    work = steps.begin(graph, recipe)
    # a checkpoint knows the network as given anyway
    digest = _digest(b"", "" if teacher is None else _contents(teacher))
    teacher = graph if teacher is None else teacher
    for number, step in enumerate(recipe.steps, 1):
        digest = _digest(digest, _spelled(step))
        what = f"{number}/{len(recipe.steps)} {step.name}"
        if not OPTIONS[step.name].trains:
            advance(what, 0.0)
            work = steps.run_pass(work, number, calibration_samples(graph, data.inputs) if inputs is None else inputs)
            stages.append(_stage(step.name, work.network, training))
            continue
        place = None if training.directory is None else training.directory / _folder(number, step, digest)
        fitted: list[Fitted] = []
        report = _reporter(what, training.measure, advance)
        work = steps.run_step(work, number, _method(recipe, number, training, teacher, place, report, fitted.append))
        stages.append(_stage(step.name, work.network, training, fitted[0]))
        if step.options.get("teacher", False):
            teacher = work.graph
    small, measured = steps.finish(work, advance)
    return small, replace(measured, stages=(*stages, _stage("encoded", small, training)))


def _prepare(graph: Graph, data: Dataset, recipe: Recipe, directory: str | os.PathLike[str] | None) -> _Training:
    """Check all training steps before the first one runs."""
    samples = len(next(iter(check_inputs(graph, data.inputs).values()), ()))
    first: Mapping[str, Any] | None = None
    for number, step in enumerate(recipe.steps, 1):
        if not OPTIONS[step.name].trains:
            continue
        first = first or step.options
        try:
            make_plan(_plan_options(step), samples=samples, teacher=graph)  # whoever teaches, there is a teacher
        except OptionError as error:
            raise OptionError(f"{steps.place_of(recipe, number)}: {error}") from None
    loss = (first or {}).get("loss", DEFAULTS["loss"])
    judge = make_plan({"epochs": 1, "loss": loss}, samples=max(samples, 1))
    targets = data.validation_targets
    labels = np.asarray(targets[0] if isinstance(targets, tuple) else targets)
    measure: Measure = "error rate" if scores_errors(loss, labels) else "loss"
    return _Training(data, samples, judge, measure, None if directory is None else Path(directory))


def _method(
    recipe: Recipe,
    number: int,
    training: _Training,
    teacher: Graph,
    place: Path | None,
    report: Callable[[TrainingProgress], None],
    keep: Callable[[Fitted], None],
) -> Callable[..., Graph | IntegerNetwork]:
    """Return the training step as a function of the network; what it gave is handed to ``keep``."""
    step = recipe.steps[number - 1]
    # biases that a step before this one shared are meant to be shared
    implied = {"biases": _shares_biases(recipe.steps[: number - 1])} if step.name == "train.fine_tune" else {}

    def function(graph: Graph, *, layers: tuple[LayerRule, ...] = (), **options: Any) -> Graph | IntegerNetwork:
        plan = make_plan(_plan_options(step), samples=training.samples, teacher=teacher)
        own = {name: value for name, value in options.items() if name not in {*PLAN_OPTIONS, "teacher"}}
        given = {**implied, **_keywords(step, own)}
        if layers:
            given["layers"] = tuple(LayerRule(rule.match, _keywords(step, rule.options)) for rule in layers)
        fitted = METHODS[step.name](graph, training.data, plan, **given, directory=place, progress=report)
        keep(fitted)
        if OPTIONS[step.name].ends:
            return quantize_network(fitted.graph, quantizations=fitted.quantizations)
        return fitted.graph

    return function


def _shares_biases(before: Sequence[Step]) -> bool:
    sharing = [step for step in before if step.name == "share_weights.kmeans"]
    return any(
        options.get("biases", False)
        for step in sharing
        for options in (step.options, *(rule.options for rule in step.layers))
    )


def _reporter(what: str, measure: Measure, advance: Progress) -> Callable[[TrainingProgress], None]:
    validation = ""

    def report(now: TrainingProgress) -> None:
        nonlocal validation
        if now.finished is not None and now.finished.score is not None:
            found = now.finished.score
            validation = f"error {100 * found:.2f} %, " if measure == "error rate" else f"validation {found:.4g}, "
        # what counts most comes first: a narrow terminal cuts the rest
        advance(f"{what}: epoch {now.epoch}/{now.epochs}, {validation}loss {now.loss:.3g}", now.step / now.steps)

    return report


def _stage(name: str, network: Graph | IntegerNetwork, training: _Training, fitted: Fitted | None = None) -> Stage:
    validation = score(network, *training.data.validation, training.judge)
    epochs, best = (0, 0) if fitted is None else (len(fitted.history), fitted.best_epoch)
    graph = network.graph if isinstance(network, IntegerNetwork) else network
    return Stage(name, validation, training.measure, *count_weights(graph), epochs, best)


def _plan_options(step: Step) -> dict[str, Any]:
    return {name: value for name, value in step.options.items() if name in PLAN_OPTIONS}


def _keywords(step: Step, options: Mapping[str, Any]) -> dict[str, Any]:
    names = OPTIONS[step.name].keywords
    return {names.get(name, name): value for name, value in options.items()}


def _folder(number: int, step: Step, digest: bytes) -> str:
    return f"{number:02}-{step.name}-{digest.hex()[:8]}"


def _spelled(step: Step) -> str:
    """Everything a recipe says about a step, the same text for the same meaning."""
    rules = [(rule.match, sorted(rule.options.items())) for rule in step.layers]
    return repr((step.name, sorted(step.options.items()), rules))


def _digest(before: bytes, text: str) -> bytes:
    return hashlib.sha256(before + text.encode()).digest()


def _contents(graph: Graph) -> str:
    """Digest of a network: nodes and values."""
    digest = hashlib.sha256(repr((graph.inputs, graph.outputs, graph.nodes)).encode())
    for name, encoding in sorted(graph.params.items()):
        digest.update(f"{name} {encoding.shape}".encode() + decode(encoding).tobytes())
    return digest.hexdigest()
