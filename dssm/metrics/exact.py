# SPDX-License-Identifier: Apache-2.0
"""Exact metrics of scores that fit in memory: one sort, ties counted as ties."""

from __future__ import annotations

import math

import torch

from dssm import ops
from dssm.metrics.checks import Images, Values, as_images, as_pair, check_limit
from dssm.metrics.curve import Curve


def auroc(scores: Values, labels: Values) -> float:
    """Area under the ROC curve, P(s+ > s-) + P(s+ = s-) / 2: the Mann-Whitney statistic with ties.

    `scores` real numbers of any range and shape, `labels` bool or 0/1 of the same shape (1 = defective). No
    sigmoid, no clipping; sums in float64. NaN when only one class is present. Raises InputError on NaN scores
    or unequal shapes.
    """
    return _curve(scores, labels).area()


def average_precision(scores: Values, labels: Values) -> float:
    """Area under the precision-recall steps, sum_k (R_k - R_(k-1)) P_k, as in scikit-learn.

    Inputs, sums and errors as in `auroc`; NaN when only one class is present.
    """
    return _curve(scores, labels).average_precision()


def f1_max(scores: Values, labels: Values) -> tuple[float, float]:
    """The largest F1 of any decision `score >= threshold`, and its threshold, the highest where several tie.

    Inputs, sums and errors as in `auroc`; (NaN, NaN) when only one class is present.
    """
    return _curve(scores, labels).f1_max()


def aupro(maps: Images, masks: Images, *, limit: float = 0.3) -> float:
    """Area under the per-region-overlap curve up to the false-positive rate `limit`, divided by `limit`.

    PRO(t) is the mean, over the 8-connected regions of the ground truth, of the fraction of the region at or
    above t; FPR(t) is the fraction of all normal pixels of all images at or above t. `maps` real, `masks`
    bool or 0/1, either (N, H, W) or sequences of (H, W) whose sizes may differ. NaN when there is no region
    or no normal pixel. Raises InputError on NaN scores, unequal shapes or a limit outside (0, 1].
    Source: Bergmann et al., The MVTec Anomaly Detection Dataset, IJCV 2021.
    """
    check_limit(limit)
    parts = [
        (scores.flatten(), truth.flatten(), ops.region(truth[None]).flatten())
        for scores, truth in as_images(maps, masks)
    ]
    if not parts:
        return math.nan
    scores, truth, weights = (torch.cat(part) for part in zip(*parts, strict=True))
    return Curve.exact(scores, truth, weights).area(limit)


def _curve(scores: Values, labels: Values) -> Curve:
    values, truth = as_pair(scores, labels, ("scores", "labels"))
    return Curve.exact(values.flatten(), truth.flatten())
