# SPDX-License-Identifier: Apache-2.0
"""Small parts to photograph: all alike but for a texture of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Make = Callable[..., Path]


def part(number: int, size: tuple[int, int] = (96, 64)) -> Image.Image:
    """A grey part with a bright stripe at the same place, and grain that no other number has."""
    width, height = size
    grain = np.random.default_rng(number).normal(0, 12, (height // 4 + 1, width // 4 + 1))
    pixels = 120 + np.kron(grain, np.ones((4, 4)))[:height, :width]
    pixels[height // 4 : height // 2] += 60
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("RGB")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data set without fault: 30 good images, 4 good ones to test, 4 with a dent and their masks."""
    root = tmp_path / "parts"
    for i in range(38):
        folder = "train/good" if i < 30 else "test/good" if i < 34 else "test/dent"
        path = root / folder / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = part(i)
        if i >= 34:
            mask = Image.new("L", image.size)
            mask.paste(255, (10, 10, 20, 20))
            image.paste((40, 40, 40), (10, 10, 20, 20))
            (root / "ground_truth/dent").mkdir(parents=True, exist_ok=True)
            mask.save(root / "ground_truth/dent" / f"{i:02}_mask.png")
        image.save(path)
    return root
