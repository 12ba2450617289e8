"""Readers of the data our networks are trained and measured on."""

from __future__ import annotations

from reference_models.data.cifar import cifar10
from reference_models.data.mnist_files import fetch_mnist, mnist
from reference_models.data.spec import read
from reference_models.data.splits import Labelled, Splits
from reference_models.data.uci import digits

__all__ = ["Labelled", "Splits", "cifar10", "digits", "fetch_mnist", "mnist", "read"]
