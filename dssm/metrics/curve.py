# SPDX-License-Identifier: Apache-2.0
"""The one curve behind every metric: what lies at or above each threshold, and the integrals over it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Curve:
    """Defective weight and normal count at or above each distinct threshold, thresholds descending.

    With a weight of one per defective sample this is the ROC curve before division; with 1 / area per pixel
    of a ground-truth region it is the per-region-overlap curve. Every integral of a single class is NaN.
    """

    thresholds: Tensor  # (K,) strictly descending
    hits: Tensor  # (K,) float64, cumulative weight of the defective samples
    alarms: Tensor  # (K,) float64, cumulative number of normal samples

    @classmethod
    def exact(cls, scores: Tensor, weights: Tensor, normal: Tensor) -> Curve:
        """Sort once; equal scores share one threshold. All three inputs are (N,)."""
        scores, order = scores.sort(descending=True)
        last_of_tie = torch.ones_like(scores, dtype=torch.bool)
        last_of_tie[:-1] = scores[1:] != scores[:-1]
        return cls(
            scores[last_of_tie],
            weights[order].cumsum(0, dtype=torch.float64)[last_of_tie],
            normal[order].cumsum(0, dtype=torch.float64)[last_of_tie],
        )

    @property
    def one_class(self) -> bool:
        """True when there is nothing to tell apart."""
        return len(self.hits) == 0 or self.hits[-1].item() == 0 or self.alarms[-1].item() == 0

    def area(self, limit: float = 1.0) -> float:
        """Mean hit rate over the false-positive rates [0, limit]: trapezoids, the last cut at the limit."""
        if self.one_class:
            return math.nan
        start = self.alarms.new_zeros(1)
        alarms, hits = torch.cat([start, self.alarms]), torch.cat([start, self.hits])
        # Integrating counts and dividing last keeps the AUROC of up to 2^52 pairs exact.
        end = limit * alarms[-1]
        inside = int(torch.searchsorted(alarms, end, right=True))
        area = torch.trapezoid(hits[:inside], alarms[:inside])
        if inside < len(alarms):
            rest = end - alarms[inside - 1]
            slope = (hits[inside] - hits[inside - 1]) / (alarms[inside] - alarms[inside - 1])
            area = area + rest * (hits[inside - 1] + slope * rest / 2)
        return (area / (end * hits[-1])).item()

    def average_precision(self) -> float:
        """Sum over thresholds of (recall step) x precision."""
        if self.one_class:
            return math.nan
        steps = torch.diff(self.hits, prepend=self.hits.new_zeros(1))
        return (steps * self.hits / (self.hits + self.alarms)).sum().item() / self.hits[-1].item()

    def f1_max(self) -> tuple[float, float]:
        """The largest F1 = 2 TP / (2 TP + FP + FN) and its threshold, the highest one where several tie."""
        if self.one_class:
            return math.nan, math.nan
        f1 = 2 * self.hits / (self.hits + self.alarms + self.hits[-1])
        best = int((f1 == f1.max()).nonzero()[0])
        return f1[best].item(), self.thresholds[best].item()
