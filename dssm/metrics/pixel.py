# SPDX-License-Identifier: Apache-2.0
"""Pixel metrics in constant memory: scores are counted in bins of their float32 bit pattern."""

from __future__ import annotations

import torch
from torch import Tensor

from dssm import ops
from dssm.metrics.checks import Values, as_pair, check_limit
from dssm.metrics.curve import Curve
from dssm.ops.histogram import BINS, edge_of


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
        # Normal pixels, defective pixels, and the defective ones weighted so that every region counts as one.
        self._bins = torch.zeros(3, BINS, dtype=torch.float64)

    def update(self, maps: Values, masks: Values) -> None:
        """Count a batch: `maps` (B, H, W) real, compared as float32; `masks` (B, H, W) bool, 1 = defective.

        Sizes may differ between calls. Raises InputError on NaN or unequal shapes, and then counts nothing.
        """
        scores, truth = as_pair(maps, masks, ("maps", "masks"), dims=3)
        ops.histogram(scores, ops.region(truth), self._bins)

    def __add__(self, other: PixelMetrics) -> PixelMetrics:
        total = PixelMetrics()
        total._bins = self._bins + other._bins
        return total

    def compute(self, *, limit: float = 0.3) -> dict[str, float]:
        """`pixel_auroc`, `pixel_ap`, `pixel_f1_max`, and `pixel_aupro` up to the false-positive rate `limit`.

        Defined as `auroc`, `average_precision`, `f1_max` and `aupro`; NaN while there is a single class.
        """
        check_limit(limit)
        pixels = self._curve(self._bins[1])
        return {
            "pixel_auroc": pixels.area(),
            "pixel_ap": pixels.average_precision(),
            "pixel_f1_max": pixels.f1_max()[0],
            "pixel_aupro": self._curve(self._bins[2]).area(limit),
        }

    def _curve(self, weights: Tensor) -> Curve:
        occupied = (weights > 0).nonzero()[:, 0].flip(0)
        alarms = self._bins[0].flip(0).cumsum(0).flip(0)  # in and above each bin
        at_or_above = alarms[occupied]
        above = at_or_above - self._bins[0, occupied]
        return Curve(edge_of(occupied), weights[occupied].cumsum(0), above, at_or_above, int(alarms[0]))
