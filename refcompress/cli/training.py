"""What a training on the command line learns from: an ``.npz`` or a data set by name, in parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refcompress.cli.arrays import numbered, pick, read_arrays
from refcompress.cli.reference import reference_module
from refcompress.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from refcompress.graph import Graph
    from refcompress.train import Dataset

VALIDATION = 0.1  # share that is set aside where a file has no validation samples


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """Labelled samples in parts.

    Attributes
    ----------
    data
        What is trained and validated on.
    test
        Samples and labels of a data set's own test part, if it has one.

    """

    data: Dataset
    test: tuple[NDArray[Any], NDArray[Any]] | None = None


def is_file(source: str) -> bool:
    """Whether a text names a file, not a data set.

    Examples
    --------
    >>> is_file("train.npz"), is_file("mnist:data")
    (True, False)

    """
    return source.endswith((".npz", ".npy")) or Path(source).is_file()


def read_material(source: str, graph: Graph, seed: int) -> Material:
    """Read what a training learns from.

    Parameters
    ----------
    source
        An ``.npz`` with x and y, and x_val and y_val or else a tenth of the samples is set aside for validation; or a
        data set of :func:`reference_models.data.read`, such as ``digits`` or ``mnist:DIR``.
    graph
        The network that is trained.
    seed
        Chooses the samples that are set aside.

    Raises
    ------
    DataError
        Arrays are missing or do not fit the network.
    OptionError
        There is no such data set.
    MissingToolError
        Data sets by name are not installed.

    """
    from refcompress.train import Dataset

    if is_file(source):
        return Material(_of_file(source, graph, seed))
    splits = reference_module("reference_models.data", "data sets by name are").read(source)
    train, validation, test = splits.train, splits.validation, splits.test
    return Material(Dataset(train.x, train.y, validation.x, validation.y), (test.x, test.y))


def _of_file(path: str, graph: Graph, seed: int) -> Dataset:
    from refcompress.train import Dataset, Plan
    from refcompress.train.samples import samples_of, split

    arrays = read_arrays(path)
    names = [spec.name for spec in graph.inputs]
    held = {name.removesuffix("_val"): array for name, array in arrays.items() if name.endswith("_val")}
    learnt = samples_of(graph, numbered(arrays, "x", names, path), pick(arrays, "y", path))
    if held:
        if "y" not in held or len(held) == 1:
            raise DataError(
                f"{path} has only {', '.join(f'{name}_val' for name in held)}; give x_val and y_val, or none"
            )
        kept = samples_of(graph, numbered(held, "x", names, path), held["y"])
    else:
        learnt, kept = split(Plan(epochs=1, validation=VALIDATION, seed=seed), learnt)
    return Dataset(learnt.inputs, learnt.targets, kept.inputs, kept.targets)
