# SPDX-License-Identifier: Apache-2.0
"""How to write small images of random pixels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def make() -> Callable[..., Path]:
    """Write an image (random unless `pixels` is given) to a path, and return the path."""

    def write(path: Path, size: tuple[int, int] = (16, 12), pixels: np.ndarray | None = None) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        if pixels is None:
            pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return write
