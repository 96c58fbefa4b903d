# SPDX-License-Identifier: Apache-2.0
"""The size that images are resized to: as the user writes it, or as the images suggest."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from dssm.data.image import read_size
from dssm.errors import InputError

STEP = 32  # the backbone halves the sides five times
LARGEST = 4096
SMALLEST_FITTED = 64
LOOKED_AT = 64
SMALL = 192 * 192  # images of fewer pixels are enlarged; others never, which would cost time and show nothing new


def parse_size(text: str) -> tuple[int, int]:
    """Read "256" as (256, 256) and "192x448" as (height, width) = (192, 448).

    Raises InputError unless both are multiples of 32 from 32 to 4096.
    """
    match = re.fullmatch(r"(\d{1,4})(?:x(\d{1,4}))?", text.strip().lower())
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if any(side % STEP or not STEP <= side <= LARGEST for side in size):
        raise InputError(
            f"size {text!r}: write one number such as 256, or HEIGHTxWIDTH such as 192x448, in multiples of {STEP} "
            f"from {STEP} to {LARGEST}"
        )
    return size


def fit_size(paths: Sequence[Path], pixels: int) -> tuple[int, int]:
    """Return the (height, width) that keeps the aspect ratio of the images at an area of about `pixels`, or about their
    own, where that is smaller but not tiny.

    Ratio and area are the medians of up to 64 of them, spread over the list; only headers are read.
    """
    if not paths:
        raise InputError("no images to choose a size for; give at least one, or the size itself")
    looked_at = paths[:: math.ceil(len(paths) / LOOKED_AT)]
    sizes = [read_size(path) for path in looked_at]
    area = median(width * height for width, height in sizes)
    return fit_ratio(median(width / height for width, height in sizes), fit_area(area, pixels))


def fit_area(area: float, pixels: float) -> float:
    """Return the pixels that images of `area` are resized to, where at most `pixels` are wanted."""
    return min(pixels, max(area, SMALL))


def fit_ratio(ratio: float, pixels: float) -> tuple[int, int]:
    """Return sqrt(pixels / ratio) and sqrt(pixels ratio), rounded to multiples of 32 from 64 to 4096."""
    return _round(math.sqrt(pixels / ratio)), _round(math.sqrt(pixels * ratio))


def _round(side: float) -> int:
    return min(max(STEP * round(side / STEP), SMALLEST_FITTED), LARGEST)
