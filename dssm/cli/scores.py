# SPDX-License-Identifier: Apache-2.0
"""What scores.csv says of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dssm.detector import Prediction

SCORE_COLUMNS = ("score", "threshold", "normalised", "anomalous")


def score_cells(prediction: Prediction) -> list[str]:
    """The cells under `SCORE_COLUMNS`."""
    numbers = (prediction.score, prediction.thresholds["image"], prediction.normalised)
    return [*(f"{number:.6g}" for number in numbers), str(int(prediction.anomalous))]
