# SPDX-License-Identifier: Apache-2.0
"""Thresholds from good images that training never saw."""

from __future__ import annotations

import math

from torch import Tensor


def conformal_threshold(scores: Tensor, false_reject: float) -> float:
    """The score that a new good image exceeds with probability at most `false_reject` (split conformal prediction).

    The ceil((n + 1)(1 - false_reject))-th smallest of the n scores; the largest, where n is too small for the promise.
    """
    n = scores.numel()
    rank = min(math.ceil((n + 1) * (1 - false_reject)), n)
    return scores.flatten().sort().values[rank - 1].item()
