# SPDX-License-Identifier: Apache-2.0
"""Thresholds from good images that training never saw."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from dssm.errors import InputError
from dssm.scores.false_reject import FalseReject, of_rank, of_value, rank

KINDS = ("image", "pixel")  # of thresholds


@dataclass(frozen=True)
class GoodScores:
    """What thresholds are chosen from: scores of good images that training never saw, and typical values."""

    image: Sequence[float]  # a score per image, ascending
    pixel: Sequence[float]  # the largest value of each map, ascending
    typical_image: float  # median score
    typical_pixel: float  # median over the images of the median of the map

    @classmethod
    def collect(cls, scored: Iterable[tuple[Tensor, Tensor]]) -> GoodScores:
        """From batches of scores (B,) and maps (B, H, W); keeps three numbers per image."""
        rows = [
            (score, *pair)
            for scores, maps in scored
            for score, *pair in zip(
                scores.tolist(),
                maps.flatten(1).amax(1).tolist(),
                maps.flatten(1).median(1).values.tolist(),
                strict=True,
            )
        ]
        if not rows:
            raise InputError("thresholds need at least one good image")
        image, pixel, middle = zip(*rows, strict=True)
        return cls(sorted(image), sorted(pixel), float(np.median(image)), float(np.median(middle)))

    @property
    def typical(self) -> dict[str, float]:
        """The typical values under the names that they have beside thresholds."""
        return {"typical_image": self.typical_image, "typical_pixel": self.typical_pixel}

    def thresholds(self, false_reject: Mapping[str, float]) -> dict[str, float]:
        """Thresholds of images and of pixels, `image` and `pixel`, for the share of good images that each may reject.

        The threshold of pixels is that of the largest value in a map: at most the same share of good images has any
        pixel above it.
        """
        return {kind: conformal_threshold(getattr(self, kind), false_reject[kind]) for kind in KINDS}

    def judge(
        self, thresholds: Mapping[str, float], false_reject: Mapping[str, float], by_hand: Collection[str]
    ) -> dict[str, FalseReject]:
        """What these scores say of the true false-reject rates of `thresholds`, of which some were set by hand."""
        return {
            kind: of_value(getattr(self, kind), thresholds[kind])
            if kind in by_hand
            else of_rank(getattr(self, kind), false_reject[kind])
            for kind in KINDS
        }


def conformal_threshold(scores: Sequence[float], false_reject: float) -> float:
    """The score that a new good image exceeds with probability at most `false_reject` (split conformal prediction).

    The ceil((n + 1)(1 - false_reject))-th smallest of the n scores; the largest, where n is too small for the promise.
    """
    return sorted(scores)[rank(len(scores), false_reject) - 1]
