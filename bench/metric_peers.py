# SPDX-License-Identifier: Apache-2.0
"""The per-region overlap in NumPy and SciPy, after Bergmann et al., "The MVTec AD Dataset", IJCV 2021."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import label


def aupro(maps: np.ndarray, truth: np.ndarray, limit: float = 0.3) -> float:
    """Area under the per-region overlap up to the false-positive rate `limit`: sort all pixels and add up.

    maps (N, H, W), truth (N, H, W) bool. A pixel weighs 1 / its region, or 1 / all normal pixels.
    """
    weights = np.zeros(truth.shape)
    regions = 0
    for plane, mask in zip(weights, truth, strict=True):
        labels, count = label(mask, structure=np.ones((3, 3)))
        sizes = np.bincount(labels.ravel())
        plane[mask] = 1 / sizes[labels[mask]]
        regions += count
    order = maps.ravel().argsort()[::-1]
    overlap = weights.ravel()[order].cumsum() / regions
    alarms = (~truth).ravel()[order].cumsum() / (~truth).sum()
    last_of_tie = np.append(np.diff(maps.ravel()[order]) != 0, True)
    overlap, alarms = np.append(0, overlap[last_of_tie]), np.append(0, alarms[last_of_tie])
    inside = alarms <= limit
    edge = np.interp(limit, alarms, overlap)
    return float(np.trapezoid(np.append(overlap[inside], edge), np.append(alarms[inside], limit)) / limit)
