"""Checkpoints of a training: everything the next step depends on, in one file that is written whole or not at all."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refcompress.errors import DataError, FormatError
from refcompress.files import write_file
from refcompress.train.constraints import ConstraintState
from refcompress.train.optimizers import Array, State
from refcompress.train.plan import Epoch
from refcompress.train.simulated_activations import Ranges

VERSION = 2
# what zipfile (RuntimeError: encrypted, or an unknown compression), zlib, json and NumPy raise for damaged bytes
_DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RuntimeError,
    EOFError,
    OverflowError,
    MemoryError,
    OSError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """All that the parameters of the network, and what is simulated of it, follow from.

    Attributes
    ----------
    latents, constraints
        What the optimizer moves, and the state of each constraint.
    running
        Moments of the batch normalizations by parameter.
    ranges
        Of simulated activations, as :class:`refcompress.train.simulated_activations.SimulatedActivations` has them.

    """

    latents: Mapping[str, Array]
    constraints: tuple[ConstraintState, ...]
    running: Mapping[str, Array]
    ranges: Ranges

    def copy(self) -> Standing:
        """Return the same in arrays of its own: steps write into those of now."""
        return Standing(
            _copied(self.latents), tuple(map(_copied, self.constraints)), _copied(self.running), _copied(self.ranges)
        )


def _copied(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name: array.copy() for name, array in arrays.items()}


@dataclass(frozen=True, slots=True, eq=False)
class RunState:
    """Where a training stands after a step.

    Random numbers are not part of it: they depend on the seed and the number of the step or the epoch alone.

    Attributes
    ----------
    count
        Steps taken.
    now
        What the network is made of.
    optimizer
        What the optimizer remembers.
    loss_total
        Sum of the losses of the samples of the unfinished epoch.
    history
        What the finished epochs gave.
    best, best_epoch
        What the network of the best epoch so far is made of, and its number; None and 0 before there is one.
    stopped
        Whether patience has run out.

    """

    count: int
    now: Standing
    optimizer: State
    loss_total: float = 0.0
    history: tuple[Epoch, ...] = ()
    best: Standing | None = None
    best_epoch: int = 0
    stopped: bool = False


def save(path: str | os.PathLike[str], state: RunState, fingerprint: str) -> None:
    """Write a checkpoint; killed at any moment, the path holds the one before or this one.

    Parameters
    ----------
    path
        The file; its directory exists.
    state
        What to write.
    fingerprint
        Says which training it is of; :func:`load` refuses another one's.

    Raises
    ------
    OSError
        The system refuses.

    """
    parts = list(_parts(state))
    info = {
        "version": VERSION,
        "fingerprint": fingerprint,
        "count": state.count,
        "optimizer_count": state.optimizer.count,
        "slots": list(state.optimizer.slots),
        "constraints": len(state.now.constraints),
        "kept": state.best is not None,
        "loss_total": state.loss_total,
        "history": [asdict(epoch) for epoch in state.history],
        "best_epoch": state.best_epoch,
        "stopped": state.stopped,
        "keys": [key for key, _ in parts],
    }
    buffer = io.BytesIO()
    np.savez(buffer, np.frombuffer(json.dumps(info).encode(), np.uint8), *(array for _, array in parts))
    write_file(path, buffer.getvalue())


def load(path: str | os.PathLike[str], fingerprint: str) -> RunState:
    """Read a checkpoint.

    Parameters
    ----------
    path
        A file that :func:`save` wrote.
    fingerprint
        Of the training that is to go on.

    Raises
    ------
    FormatError
        The file is damaged, or no checkpoint.
    DataError
        It is a checkpoint of another training.
    OSError
        The file cannot be read.

    """
    data = Path(path).read_bytes()
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            info = json.loads(archive["arr_0"].tobytes())
            arrays = [archive[f"arr_{number}"] for number in range(1, len(info["keys"]) + 1)]
            version = info["version"]
    except _DAMAGE as error:
        raise FormatError(
            f"{path} is no checkpoint of a training, or damaged ({error}); delete it to start anew", 0
        ) from error
    if version != VERSION or info["fingerprint"] != fingerprint:
        raise DataError(
            f"{path} is the checkpoint of a training with another network, other data or other options; "
            "give these, or another path, or delete it to start anew"
        )
    return _state(info, arrays)


def _parts(state: RunState) -> Iterator[tuple[list[str], NDArray[Any]]]:
    """Yield each array with the way to it."""
    for when, standing in (("now", state.now), ("best", state.best)):
        if standing is None:
            continue
        for what in ("latents", "running", "ranges"):
            yield from (([when, what, name], array) for name, array in getattr(standing, what).items())
        for number, each in enumerate(standing.constraints):
            yield from (([when, str(number), name], array) for name, array in each.items())
    for slot, group in state.optimizer.slots.items():
        yield from ((["slot", slot, name], array) for name, array in group.items())


def _state(info: Mapping[str, Any], arrays: list[NDArray[Any]]) -> RunState:
    groups: dict[tuple[str, ...], dict[str, NDArray[Any]]] = {}
    for key, array in zip(info["keys"], arrays, strict=True):
        groups.setdefault(tuple(key[:-1]), {})[key[-1]] = array
    slots = {slot: groups.get(("slot", slot), {}) for slot in info["slots"]}
    return RunState(
        count=info["count"],
        now=_standing("now", info, groups),
        optimizer=State(info["optimizer_count"], slots),
        loss_total=info["loss_total"],
        history=tuple(Epoch(**epoch) for epoch in info["history"]),
        best=_standing("best", info, groups) if info["kept"] else None,
        best_epoch=info["best_epoch"],
        stopped=info["stopped"],
    )


def _standing(
    when: str, info: Mapping[str, Any], groups: Mapping[tuple[str, ...], dict[str, NDArray[Any]]]
) -> Standing:
    latents, running, ranges = (groups.get((when, what), {}) for what in ("latents", "running", "ranges"))
    states = tuple(groups.get((when, str(number)), {}) for number in range(info["constraints"]))
    return Standing(latents, states, running, ranges)
