# SPDX-License-Identifier: Apache-2.0
"""What the report holds of one image: a small JPEG, its map and the marked defects in 8 bits, of bounded size."""

from __future__ import annotations

import base64
import io
import math
import zlib
from typing import Any

import numpy as np
from PIL import Image

from dssm.data.cache import shrink_mask

LIMIT = 60_000  # characters that one image may add to the page
IMAGE_PIXELS = 360 * 360
MAP_PIXELS = 160 * 160


def encode(image: Image.Image, heat: np.ndarray, truth: np.ndarray | None) -> dict[str, Any]:
    """An RGB image, its map (H, W) real and, where known, its defective pixels (H, W) bool, as plain values for JSON.

    The map is shrunk by averaging to `columns` x `rows`, then rounded to 256 steps from `low` to `high`: a mask drawn
    from it differs from `Prediction.mask` where the map is that close to the threshold. The JPEG gets what the map
    leaves of LIMIT: its quality falls first, then its size, so that `width` x `height` is that of the panels, not of
    the JPEG.
    """
    width, height = _fitted(image.size, IMAGE_PIXELS)
    columns, rows = _fitted(heat.shape[::-1], MAP_PIXELS)
    values = np.asarray(Image.fromarray(heat.astype(np.float32)).resize((columns, rows), Image.Resampling.BOX))
    low, high = float(values.min()), float(values.max())
    levels = ((values - low) / ((high - low) or 1) * 255).round().astype(np.uint8)
    marked = None if truth is None or not truth.any() else shrink_mask(truth, (rows, columns)).astype(np.uint8) * 255
    coded: dict[str, Any] = {
        "width": width,
        "height": height,
        "columns": columns,
        "rows": rows,
        "low": low,
        "high": high,
        "map": _pack(levels),
        "truth": None if marked is None else _pack(marked),
    }
    small = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=2.0)
    taken = len(coded["map"]) + len(coded["truth"] or "")
    return {**coded, "image": _jpeg(small, LIMIT - taken)}


def _fitted(size: tuple[int, ...], area: int) -> tuple[int, int]:
    """(width, height) of about `area` pixels at most, of the same proportions."""
    width, height = size
    scale = min(1.0, math.sqrt(area / (width * height)))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _pack(values: np.ndarray) -> str:
    """(H, W) uint8 as differences along the rows, modulo 256: neighbours are alike, so deflate needs few bytes."""
    differences = np.diff(values, axis=1, prepend=np.uint8(0))
    return _text(zlib.compress(differences.tobytes(), 9))


def _jpeg(image: Image.Image, limit: int) -> str:
    """The best JPEG of at most `limit` characters."""
    while True:
        for quality in (80, 65, 50):
            file = io.BytesIO()
            image.save(file, "JPEG", quality=quality)
            text = _text(file.getvalue())
            if len(text) <= limit:
                return text
        image = image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BOX)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
