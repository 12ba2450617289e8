"""What a network costs and how well it does: true bytes, accuracy."""

from __future__ import annotations

from refcompress.analysis.accuracy import Accuracy, accuracy
from refcompress.analysis.measure import ParameterReport, Report, describe, measure
from refcompress.analysis.stages import Stage

__all__ = ["Accuracy", "ParameterReport", "Report", "Stage", "accuracy", "describe", "measure"]
