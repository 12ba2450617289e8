"""Dataset: what a network is trained on, and what its epochs and its levels of pruning are chosen by."""

from __future__ import annotations

from dataclasses import dataclass

from refcompress.run import Inputs
from refcompress.train.samples import Targets


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """Training and validation samples; what :func:`refcompress.train.fit.fit` takes.

    A test set is no part of it, on purpose: whatever sees these samples may choose by them, and what is chosen by a
    test set is no longer measured by it.

    Attributes
    ----------
    inputs, targets
        Samples the weights learn from. Inputs are one array (samples, ...), or several by the network's inputs, as
        :func:`refcompress.run.run` takes them; targets one array (samples, ...), or a tuple of them.
    validation_inputs, validation_targets
        Samples of the same kinds that the best epoch, and the level of pruning where a method looks for one, are
        chosen by.

    Examples
    --------
    >>> import numpy as np
    >>> x, labels = np.zeros((5, 3), np.float32), np.arange(5)
    >>> data = Dataset(x[:4], labels[:4], x[4:], labels[4:])
    >>> data.validation[1]
    array([4])

    """

    inputs: Inputs
    targets: Targets
    validation_inputs: Inputs
    validation_targets: Targets

    @property
    def validation(self) -> tuple[Inputs, Targets]:
        """The validation samples as :func:`refcompress.train.fit.fit` takes them."""
        return self.validation_inputs, self.validation_targets
