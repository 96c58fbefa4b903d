# SPDX-License-Identifier: Apache-2.0
"""Pixel metrics in constant memory: scores are counted in bins of their float32 bit pattern."""
from __future__ import annotations

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from dssm.metrics.checks import as_batch, check_limit
from dssm.metrics.curve import Curve
from dssm.metrics.region import region_weights

_BITS = 20
_BINS = 1 << _BITS
_SHIFT = 32 - _BITS


class PixelMetrics:
    """Pixel AUROC, average precision, largest F1 and AUPRO over any number of images in 24 MiB.

    A float32 score, read as an ordered integer, keeps its upper 20 bits: sign, exponent and 11 bits of mantissa. So
    scores closer than 1/2048 of their size may share a bin and then count as ties, and the results are exactly
    those of the scores rounded down to bin edges. The AUROC is off by at most half the fraction of (defective,
    normal) pairs that share a bin. The bins cover all of float32, infinities included: nothing to choose beforehand.
    Probabilities that saturate at 1 tie there: pass logits.

    Instances add up: `a + b` holds the images of both.
    """

    def __init__(self) -> None:
        self._normal = torch.zeros(_BINS, dtype=torch.float64)
        self._defective = torch.zeros(_BINS, dtype=torch.float64)
        self._regions = torch.zeros(_BINS, dtype=torch.float64)

    def update(self, maps: ArrayLike | Tensor, masks: ArrayLike | Tensor) -> None:
        """Count a batch: `maps` (B, H, W) real (compared as float32), `masks` (B, H, W) bool or 0/1, 1 = defective.

        Sizes may differ between calls. Raises InputError on NaN or unequal shapes and then counts nothing.
        """
        scores, truth = as_batch(maps, masks)
        weights = region_weights(truth)
        bins = _bin(scores)
        defective = bins[truth]
        self._normal += torch.bincount(bins[~truth], minlength=_BINS)
        self._defective += torch.bincount(defective, minlength=_BINS)
        self._regions += torch.bincount(defective, weights[truth], minlength=_BINS)

    def __add__(self, other: PixelMetrics) -> PixelMetrics:
        total = PixelMetrics()
        total._normal = self._normal + other._normal
        total._defective = self._defective + other._defective
        total._regions = self._regions + other._regions
        return total

    def compute(self, *, limit: float = 0.3) -> dict[str, float]:
        """`pixel_auroc`, `pixel_ap`, `pixel_f1_max` and `pixel_aupro` (cut at the false-positive rate `limit`).

        All are NaN while one of the two classes is missing. Definitions as in `auroc`, `average_precision`, `f1_max`
        and `aupro`.
        """
        check_limit(limit)
        curve = self._curve(self._defective)
        return {
            "pixel_auroc": curve.area(),
            "pixel_ap": curve.average_precision(),
            "pixel_f1_max": curve.f1_max()[0],
            "pixel_aupro": self._curve(self._regions).area(limit),
        }

    def _curve(self, weights: Tensor) -> Curve:
        occupied = ((self._normal > 0) | (weights > 0)).nonzero()[:, 0].flip(0)
        return Curve(_edge(occupied), weights[occupied].cumsum(0), self._normal[occupied].cumsum(0))


def _bin(scores: Tensor) -> Tensor:
    """The bin of each score, int64 in [0, 2^20), in the order of the scores."""
    # Adding zero turns -0.0, whose bits sort below 0.0, into 0.0.
    bits = (scores.float() + 0.0).view(torch.int32)
    # Negative floats count downwards in their magnitude bits; flipping those makes the integers ordered.
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return (ordered >> _SHIFT).long() + _BINS // 2


def _edge(bins: Tensor) -> Tensor:
    """The smallest float32 score of each bin."""
    ordered = ((bins - _BINS // 2) << _SHIFT).int()
    edges = (ordered ^ ((ordered >> 31) & 0x7FFFFFFF)).view(torch.float32)
    # Of the lowest bin only -inf is a number; its lower edge is the bit pattern of a NaN.
    return edges.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf)
