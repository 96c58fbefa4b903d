# SPDX-License-Identifier: Apache-2.0
"""Thresholds from good images that training never saw."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor


def choose_thresholds(scored: Iterable[tuple[Tensor, Tensor]], false_reject: float) -> dict[str, float]:
    """Thresholds of images and of pixels, and the typical value of a map, for drawing.

    `scored` are batches of scores (B,) and maps (B, H, W) of held-out good images, whose sizes may differ between
    batches; no map is kept. The threshold of pixels is that of the largest value in a map: at most the same share of
    good images has any pixel above it. The typical value is the median of the maps' medians.
    """
    scores, tops, medians = [], [], []
    for score, maps in scored:
        heat = maps.flatten(1)
        scores.append(score)
        tops.append(heat.amax(1))
        medians.append(heat.median(1).values)
    return {
        "image": conformal_threshold(torch.cat(scores), false_reject),
        "pixel": conformal_threshold(torch.cat(tops), false_reject),
        "typical": torch.cat(medians).median().item(),
    }


def conformal_threshold(scores: Tensor, false_reject: float) -> float:
    """The score that a new good image exceeds with probability at most `false_reject` (split conformal prediction).

    The ceil((n + 1)(1 - false_reject))-th smallest of the n scores; the largest, where n is too small for the promise.
    """
    n = scores.numel()
    rank = min(math.ceil((n + 1) * (1 - false_reject)), n)
    return scores.flatten().sort().values[rank - 1].item()
