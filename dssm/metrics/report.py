# SPDX-License-Identifier: Apache-2.0
"""All metrics of one evaluation, over the whole test set and per kind of defect."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from dssm.data.sample import GOOD
from dssm.errors import InputError
from dssm.metrics.checks import Images, Values, as_images, as_scores
from dssm.metrics.exact import auroc, average_precision, f1_max
from dssm.metrics.pixel import PixelMetrics

# A mask that is None: nobody marked the defects of that image.
Masks: TypeAlias = "Images | Sequence[Values | None] | Sequence[Tensor | None]"


def evaluate_scores(
    scores: Values, kinds: Sequence[str], maps: Images | None = None, masks: Masks | None = None
) -> dict[str, Any]:
    """Image metrics, pixel metrics where ground truth exists, and both per kind of defect, ready for JSON.

    `scores` (N,) real; `kinds` N names, "good" for a normal image and else the kind of its defect; `maps` and
    `masks` (N, H, W), or N arrays (H, W) whose sizes may differ; a mask that is None leaves its image out of the pixel
    metrics. Returns `image_auroc`, `image_ap`, `f1_max` and `f1_threshold`; with masks also `pixel_auroc`, `pixel_ap`,
    `pixel_f1_max` and `pixel_aupro` (see `PixelMetrics`); and `per_kind`, the same keys for each kind of defect against
    all good images. A value that is not finite, such as a metric of a single class, is None. Raises InputError on NaN,
    unequal counts or shapes, or masks without maps.
    """
    values = as_scores(scores, "scores")
    if values.shape != (len(kinds),):
        raise InputError(f"scores must hold one number per kind, ({len(kinds)},), not {tuple(values.shape)}")
    return summarize(values, kinds, None if masks is None else _count_pixels(kinds, maps, masks))


def summarize(scores: Values, kinds: Sequence[str], pixels: Mapping[str, PixelMetrics] | None = None) -> dict[str, Any]:
    """`evaluate_scores` of pixels that are counted already, by kind, so that no map need be kept."""
    values = as_scores(scores, "scores")

    def summary(defects: Sequence[str]) -> dict[str, float | None]:
        chosen = [i for i, kind in enumerate(kinds) if kind in (GOOD, *defects)]
        defective = [kinds[i] != GOOD for i in chosen]
        best, threshold = f1_max(values[chosen], defective)
        metrics = {
            "image_auroc": auroc(values[chosen], defective),
            "image_ap": average_precision(values[chosen], defective),
            "f1_max": best,
            "f1_threshold": threshold,
        }
        if pixels is not None:
            counted = (pixels[kind] for kind in (GOOD, *defects) if kind in pixels)
            metrics |= sum(counted, PixelMetrics()).compute()
        return {key: value if math.isfinite(value) else None for key, value in metrics.items()}

    defects = sorted(set(kinds) - {GOOD})
    return {**summary(defects), "per_kind": {kind: summary([kind]) for kind in defects}}


def _count_pixels(kinds: Sequence[str], maps: Images | None, masks: Masks) -> dict[str, PixelMetrics]:
    if maps is None:
        raise InputError("masks need maps to be compared with; pass both or neither")
    if not len(maps) == len(masks) == len(kinds):
        raise InputError(f"maps and masks must be as many as kinds, {len(kinds)}, not {len(maps)} and {len(masks)}")
    known = {i: mask for i, mask in enumerate(masks) if mask is not None}
    pixels: dict[str, PixelMetrics] = defaultdict(PixelMetrics)
    pairs = as_images([maps[i] for i in known], list(known.values()))
    for i, (scores, truth) in zip(known, pairs, strict=True):
        pixels[kinds[i]].update(scores[None], truth[None])
    return pixels
