# SPDX-License-Identifier: Apache-2.0
"""All metrics of one evaluation, over the whole test set and per kind of defect."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor

from dssm.errors import InputError
from dssm.metrics.checks import as_scores
from dssm.metrics.curve import Curve
from dssm.metrics.pixel import PixelMetrics

GOOD = "good"


def evaluate_scores(
    scores: ArrayLike | Tensor,
    kinds: Sequence[str],
    maps: Sequence[ArrayLike | Tensor] | Tensor | None = None,
    masks: Sequence[ArrayLike | Tensor] | Tensor | None = None,
) -> dict[str, Any]:
    """Image metrics, pixel metrics where ground truth exists, and both per kind of defect; ready for JSON.

    `scores` (N,) real; `kinds` N names, "good" for a normal image and else the kind of its defect; `maps` and
    `masks` (N, H, W), or N arrays (H, W) of any sizes. Returns `image_auroc`, `image_ap`, `f1_max`, `f1_threshold`,
    with masks also `pixel_auroc`, `pixel_aupro`, `pixel_ap`, `pixel_f1_max` (in constant memory, see
    `PixelMetrics`), and `per_kind`: the same keys for each kind of defect against all good images. A value that is
    not finite, such as any metric of a single class, is None. Raises InputError on NaN, on counts that differ, or on
    masks without maps.
    """
    values = as_scores(scores, "scores")
    if values.shape != (len(kinds),):
        raise InputError(f"scores must have the shape ({len(kinds)},), one per kind, not {tuple(values.shape)}.")
    pixels = None if masks is None else _pixels(kinds, maps, masks)
    defects = sorted(set(kinds) - {GOOD})
    return {
        **_summary(values, kinds, defects, pixels),
        "per_kind": {kind: _summary(values, kinds, [kind], pixels) for kind in defects},
    }
