# SPDX-License-Identifier: Apache-2.0
"""Where the real images are, and how to write small images of random pixels."""
from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REAL = Path(os.environ.get("DSSM_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture
def real() -> Callable[[str], Path]:
    """Return the folder of a real data set; the test is skipped where it does not exist."""

    def folder(name: str) -> Path:
        if not (REAL / name).is_dir():
            pytest.skip(f"REAL DATA MISSING: {REAL / name} is no folder; set DSSM_TEST_DATA")
        return REAL / name

    return folder


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
