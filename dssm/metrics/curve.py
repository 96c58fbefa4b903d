# SPDX-License-Identifier: Apache-2.0
"""The one curve behind every metric: what lies at or above each threshold, and the integrals over it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dssm import ops


@dataclass(frozen=True)
class Curve:
    """Defective weight and normal count at or above each distinct defective score, scores descending.

    With a weight of one per defective sample this is the ROC curve before division; with 1 / area per pixel
    of a ground-truth region it is the per-region-overlap curve. Between two thresholds nothing but normal samples lie,
    so the curve is flat there. Every integral of a single class is NaN.
    """

    thresholds: Tensor  # (K,) strictly descending
    hits: Tensor  # (K,) float64, cumulative weight of the defective samples
    above: Tensor  # (K,) float64, number of normal samples above the threshold
    alarms: Tensor  # (K,) float64, the same with those at it
    normal: int  # number of normal samples

    @classmethod
    def exact(cls, scores: Tensor, truth: Tensor, weights: Tensor | None = None) -> Curve:
        """One sort; equal scores share one threshold. All inputs are (N,), `weights` by default one."""
        thresholds, order = scores[truth].sort(descending=True, stable=True)
        above, tied = ops.rank(thresholds, scores, ~truth)
        hits = torch.ones_like(order, dtype=torch.float64) if weights is None else weights[truth][order]
        last_of_tie = torch.ones_like(order, dtype=torch.bool)
        last_of_tie[:-1] = thresholds[1:] != thresholds[:-1]
        return cls(
            thresholds[last_of_tie],
            hits.cumsum(0)[last_of_tie],
            above[last_of_tie].double(),
            (above + tied)[last_of_tie].double(),
            len(truth) - len(order),
        )

    @property
    def one_class(self) -> bool:
        """True when there is nothing to tell apart."""
        return len(self.hits) == 0 or self.normal == 0

    def area(self, limit: float = 1.0) -> float:
        """Mean hit rate over the false-positive rates [0, limit]: trapezoids, the last cut at the limit."""
        if self.one_class:
            return math.nan
        # The curve's corners: flat up to a threshold's own samples, then straight over these.
        start, end = self.hits.new_zeros(1), self.hits.new_full((1,), self.normal)
        before = torch.cat([start, self.hits])
        alarms = torch.cat([start, torch.stack([self.above, self.alarms], 1).flatten(), end])
        hits = torch.cat([start, torch.stack([before[:-1], self.hits], 1).flatten(), self.hits[-1:]])
        # Integrating counts and dividing last keeps the AUROC of up to 2^52 pairs exact.
        most = limit * self.normal
        inside = int(torch.searchsorted(alarms, most, right=True))
        area = torch.trapezoid(hits[:inside], alarms[:inside])
        if inside < len(alarms):
            rest = most - alarms[inside - 1]
            slope = (hits[inside] - hits[inside - 1]) / (alarms[inside] - alarms[inside - 1])
            area = area + rest * (hits[inside - 1] + slope * rest / 2)
        return (area / (most * self.hits[-1])).item()

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
