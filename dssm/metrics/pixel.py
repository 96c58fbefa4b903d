# SPDX-License-Identifier: Apache-2.0
"""Pixel metrics in constant memory: scores are counted in bins of their float32 bit pattern."""

from __future__ import annotations

import torch
from torch import Tensor

from dssm.metrics.checks import Values, as_pair, check_limit
from dssm.metrics.curve import Curve
from dssm.metrics.region import region_weights

_BITS = 20
_BINS = 1 << _BITS
_SHIFT = 32 - _BITS
_MAGNITUDE = 0x7FFFFFFF


class PixelMetrics:
    """Pixel AUROC, average precision, largest F1 and AUPRO over any number of images, in 24 MiB.

    A float32 score, read as an ordered integer, keeps its upper 20 bits: sign, exponent and 11 bits of
    mantissa. Scores closer than 1/2048 of their size may so share a bin and count as ties; every result is
    exactly that of the scores rounded down to the edge of their bin. The AUROC is off by at most half the
    fraction of (defective, normal) pairs that share a bin. The bins cover all of float32, infinities
    included, so no range is chosen beforehand. Probabilities that crowd at 1 tie there: pass logits.

    Instances add up: `a + b` holds the images of both.
    """

    def __init__(self) -> None:
        self._normal = torch.zeros(_BINS, dtype=torch.float64)
        self._defective = torch.zeros(_BINS, dtype=torch.float64)
        self._regions = torch.zeros(_BINS, dtype=torch.float64)

    def update(self, maps: Values, masks: Values) -> None:
        """Count a batch: `maps` (B, H, W) real, compared as float32; `masks` (B, H, W) bool, 1 = defective.

        Sizes may differ between calls. Raises InputError on NaN or unequal shapes, and then counts nothing.
        """
        scores, truth = as_pair(maps, masks, ("maps", "masks"), dims=3)
        bins = _bin(scores)
        one = self._normal.new_ones(1)
        normal, defective = bins[~truth], bins[truth]
        self._normal.index_add_(0, normal, one.expand(len(normal)))
        self._defective.index_add_(0, defective, one.expand(len(defective)))
        self._regions.index_add_(0, defective, region_weights(truth)[truth])

    def __add__(self, other: PixelMetrics) -> PixelMetrics:
        total = PixelMetrics()
        total._normal = self._normal + other._normal
        total._defective = self._defective + other._defective
        total._regions = self._regions + other._regions
        return total

    def compute(self, *, limit: float = 0.3) -> dict[str, float]:
        """`pixel_auroc`, `pixel_ap`, `pixel_f1_max`, and `pixel_aupro` up to the false-positive rate `limit`.

        Defined as `auroc`, `average_precision`, `f1_max` and `aupro`; NaN while there is a single class.
        """
        check_limit(limit)
        pixels = self._curve(self._defective)
        return {
            "pixel_auroc": pixels.area(),
            "pixel_ap": pixels.average_precision(),
            "pixel_f1_max": pixels.f1_max()[0],
            "pixel_aupro": self._curve(self._regions).area(limit),
        }

    def _curve(self, weights: Tensor) -> Curve:
        occupied = ((self._normal > 0) | (weights > 0)).nonzero()[:, 0].flip(0)
        return Curve(_edge(occupied), weights[occupied].cumsum(0), self._normal[occupied].cumsum(0))


def _bin(scores: Tensor) -> Tensor:
    """The bin of each score, int64 in [0, 2^20), in the order of the scores."""
    # Adding zero turns -0.0, whose bits would sort below those of 0.0, into 0.0.
    bits = (scores.float() + 0.0).view(torch.int32)
    # The magnitude bits of negative floats count downwards; flipped, all bits sort as one signed integer.
    ordered = bits ^ ((bits >> 31) & _MAGNITUDE)
    return (ordered >> _SHIFT).long() + _BINS // 2


def _edge(bins: Tensor) -> Tensor:
    """The smallest float32 score of each bin."""
    ordered = ((bins - _BINS // 2) << _SHIFT).int()
    edges = (ordered ^ ((ordered >> 31) & _MAGNITUDE)).view(torch.float32)
    # The lowest occupied bin can hold -inf alone, but its edge is the bit pattern of a NaN.
    return torch.where(edges.isnan(), -torch.inf, edges)
