# SPDX-License-Identifier: Apache-2.0
"""Exact metrics of scores that fit in memory: one sort, ties counted as ties."""
from __future__ import annotations

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from dssm.errors import InputError
from dssm.metrics.checks import as_batch, as_scores, as_truth, same_shape
from dssm.metrics.curve import Curve
from dssm.metrics.region import region_weights


def auroc(scores: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> float:
    """Area under the ROC curve, P(s+ > s-) + P(s+ = s-) / 2: the Mann-Whitney statistic with ties.

    `scores` any real numbers of any shape, `labels` bool or 0/1 of the same shape (1 = defective). No sigmoid, no
    clipping; sums in float64. NaN when only one class is present. Raises InputError on NaN scores or unequal shapes.
    """
    return _curve(scores, labels).area()


def average_precision(scores: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> float:
    """Area under the precision-recall curve as a step function, sum_k (R_k - R_(k-1)) P_k, as in scikit-learn.

    Inputs, accumulation and errors as in `auroc`; NaN when only one class is present.
    """
    return _curve(scores, labels).average_precision()


def f1_max(scores: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> tuple[float, float]:
    """The largest F1 over all decisions `score >= threshold`, and that threshold (the highest where several tie).

    Inputs, accumulation and errors as in `auroc`; (NaN, NaN) when only one class is present.
    """
    return _curve(scores, labels).f1_max()


def aupro(
    maps: ArrayLike | Tensor | Sequence[ArrayLike | Tensor],
    masks: ArrayLike | Tensor | Sequence[ArrayLike | Tensor],
    *,
    limit: float = 0.3,
) -> float:
    """Area under the per-region-overlap curve up to the false-positive rate `limit`, divided by `limit`.

    PRO(t) is the mean over ground-truth regions (8-connected components) of the fraction of the region at or above
    t; FPR(t) is the fraction of all normal pixels of all images at or above t. `maps` real, `masks` bool or 0/1:
    either (N, H, W) or sequences of (H, W) of any sizes. NaN when there is no region or no normal pixel.
    Raises InputError on NaN scores, unequal shapes or a limit outside (0, 1].
    Source: Bergmann et al., The MVTec Anomaly Detection Dataset, IJCV 2021, section 5.
    """
    check_limit(limit)
    scores, weights, normal = [], [], []
    for batch, truth in _batches(maps, masks):
        scores.append(batch.flatten())
        weights.append(region_weights(truth)[0].flatten())
        normal.append(~truth.flatten())
    if not scores:
        return float("nan")
    return Curve.exact(torch.cat(scores), torch.cat(weights), torch.cat(normal)).area(limit)


def check_limit(limit: float) -> None:
    if not 0 < limit <= 1:
        raise InputError(f"limit must lie in (0, 1], not {limit}.")


def _curve(scores: ArrayLike | Tensor, labels: ArrayLike | Tensor) -> Curve:
    values, truth = as_scores(scores, "scores"), as_truth(labels, "labels")
    same_shape(values, truth, "scores", "labels")
    return Curve.exact(values.flatten(), truth.flatten(), ~truth.flatten())
