# SPDX-License-Identifier: Apache-2.0
"""How fast images are scored."""

from __future__ import annotations

from array import array

import numpy as np


class Latency:
    """Collects how long images waited for their scores; those of a batch wait for the whole of it."""

    def __init__(self) -> None:
        self._waits = array("d")  # seconds, one per image
        self._worked = 0.0

    def add(self, images: int, seconds: float) -> None:
        """Count a batch that was scored in so many seconds."""
        self._worked += seconds
        self._waits.extend([seconds] * images)

    def __str__(self) -> str:
        if not self._waits:
            return "no image was scored"
        median, late = 1000 * np.percentile(self._waits, [50, 95])
        rate = len(self._waits) / self._worked
        return f"scored {rate:.1f} images/s; from file to score {median:.0f} ms (p50), {late:.0f} ms (p95)"
