# SPDX-License-Identifier: Apache-2.0
"""How well n good images know the share of all good images that a threshold rejects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
_ROUNDING = 1e-9  # 100 * 0.29 is a little less than 29


@dataclass(frozen=True)
class FalseReject:
    """A threshold, and what n good images that neither training nor the threshold's maker knew say of its true rate."""

    threshold: float
    asked: float | None  # the rate that the threshold was chosen for; None: it was set by hand
    expected: float
    low: float  # the true rate lies in [low, high] with probability CONFIDENCE
    high: float
    images: int

    @property
    def needed(self) -> int:
        """Good images that it takes to promise the rate that was asked for."""
        return 0 if self.asked is None else math.ceil(1 / self.asked - _ROUNDING) - 1

    @property
    def promised(self) -> bool:
        """Whether there were as many."""
        return self.images >= self.needed


def of_rank(scores: Sequence[float], false_reject: float) -> FalseReject:
    """Of the conformal threshold, the k-th smallest of n scores.

    Whatever the distribution of the scores, if it is continuous, the share above follows Beta(n + 1 - k, k) (order
    statistics of uniform values; e.g. David and Nagaraja, "Order Statistics", section 2.1), whose mean is
    (n + 1 - k) / (n + 1); ties only lower it.
    """
    n = len(scores)
    k = rank(n, false_reject)
    low, high = (beta_quantile(share, n + 1 - k, k) for share in _TAILS)
    return FalseReject(sorted(scores)[k - 1], false_reject, (n + 1 - k) / (n + 1), low, high, n)


def of_value(scores: Sequence[float], threshold: float) -> FalseReject:
    """Of a threshold that did not come from the scores: m of n lie above, and Clopper and Pearson's exact interval is
    that of a binomial share, from a quantile of Beta(m, n - m + 1) to one of Beta(m + 1, n - m)."""
    n, m = len(scores), sum(score > threshold for score in scores)
    low = beta_quantile(_TAILS[0], m, n - m + 1) if m > 0 else 0.0
    high = beta_quantile(_TAILS[1], m + 1, n - m) if m < n else 1.0
    return FalseReject(threshold, None, m / n, low, high, n)


def rank(count: int, false_reject: float) -> int:
    """Which of `count` ascending scores, the first being 1, is the conformal threshold; the last, if they are few."""
    return min(count + 1 - math.floor((count + 1) * false_reject + _ROUNDING), count)


_TAILS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)


def beta_quantile(share: float, a: int, b: int) -> float:
    """The x below which Beta(a, b) has that share, a and b whole: P(Binomial(a + b - 1, x) >= a) = share, bisected."""
    n = a + b - 1
    j = np.arange(a)
    log_choose = np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in range(a)])
    low, high = 0.0, 1.0
    while (x := (low + high) / 2) not in (low, high):
        fewer = np.exp(log_choose + j * math.log(x) + (n - j) * math.log1p(-x)).sum()
        low, high = (x, high) if 1 - fewer < share else (low, x)
    return x
