# SPDX-License-Identifier: Apache-2.0
"""What the benches work on: made from a seed, so that they run everywhere."""

from __future__ import annotations

import numpy as np
import torch

from dssm import ops


def photographs(count: int, height: int, width: int, *, seed: int = 0) -> np.ndarray:
    """(count, 3, H, W) uint8: flat shapes with grain; photographs have both."""
    rng = np.random.default_rng(seed)
    shapes = rng.uniform(0, 255, (count, 3, -(-height // 8), -(-width // 8))).repeat(8, 2).repeat(8, 3)
    shapes = shapes[:, :, :height, :width]
    return np.clip(shapes + rng.normal(0, 8, shapes.shape), 0, 255).astype(np.uint8)


def surfaces(count: int, height: int, width: int) -> torch.Tensor:
    """(count, 3, H, W) uint8: brushed metal, a little different every time."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(count, 1, height, 1, generator=generator) * 40 + 100
    grain = torch.randn(count, 3, height, width, generator=generator) * 6
    return (rows + grain).clamp(0, 255).to(torch.uint8)


def masks(count: int) -> np.ndarray:
    """(count, 256, 256) bool: Perlin noise above 0.5, as PasteNoise sees it."""
    return (ops.perlin(torch.arange(count), (256, 256), seed=0) > 0.5).numpy()


def pictures(images: torch.Tensor) -> list[np.ndarray]:
    """(B, C, H, W) -> B arrays (H, W, C), each contiguous, as OpenCV, scikit-image and Pillow want them."""
    return [np.ascontiguousarray(picture) for picture in images.permute(0, 2, 3, 1).numpy()]
