# SPDX-License-Identifier: Apache-2.0
"""Scores and maps on a scale from 0 to 1 on which the threshold is 0.5."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

REACH = 4  # what is typical of good images lies this many spreads below the threshold, at 0.1
LEAST = 1e-6  # a threshold on what is typical has no spread

Values = TypeVar("Values", float, np.ndarray)


def normalise(values: Values, threshold: float, typical: float) -> Values:
    """1/2 + d / (2 (s + |d|)) with d = x - threshold and s = |threshold - typical| / 4; in the values' dtype.

    It rises strictly with x: 0.1 what is typical of good images, 0.5 the threshold, 0.9 as far above the threshold
    again. Unlike a logistic curve it nears 1 so slowly that strong defects still differ.
    """
    distance = values - threshold
    return 0.5 + 0.5 * distance / (spread(threshold, typical) + abs(distance))


def spread(threshold: float, typical: float) -> float:
    """The s of `normalise`."""
    return max(abs(threshold - typical) / REACH, LEAST)
