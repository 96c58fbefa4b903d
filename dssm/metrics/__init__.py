# SPDX-License-Identifier: Apache-2.0
"""Detection and localisation metrics on raw scores of any range."""

from __future__ import annotations

from dssm.metrics.exact import aupro, auroc, average_precision, f1_max
from dssm.metrics.pixel import PixelMetrics
from dssm.metrics.report import evaluate_scores, summarize

__all__ = ["PixelMetrics", "aupro", "auroc", "average_precision", "evaluate_scores", "f1_max", "summarize"]
