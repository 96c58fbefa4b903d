# SPDX-License-Identifier: Apache-2.0
"""PasteNoise as anomaly detection in Python usually does it: image by image in NumPy, SciPy, OpenCV and Pillow.

Written from the formulas of Perlin, "Improving noise", 2002, and of Zavrtanik, Kristan and Skocaj, "DRAEM", ICCV 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from scipy.ndimage import label


def lattice_noise(size: tuple[int, int], angles: np.ndarray) -> np.ndarray:
    """sqrt(2) times the quintic mean of <gradient, offset> at the four nodes of each pixel's cell, as formulas read."""
    rows, columns = angles.shape[0] - 1, angles.shape[1] - 1
    tile = size[0] // rows, size[1] // columns
    gradients = np.stack([np.cos(angles), np.sin(angles)], -1)
    offset = np.indices(size).transpose(1, 2, 0) / tile % 1  # (H, W, 2)

    def corner(down: int, right: int) -> np.ndarray:
        nodes = gradients[down : down + rows, right : right + columns]
        spread = nodes.repeat(tile[0], 0).repeat(tile[1], 1)
        return ((offset - (down, right)) * spread).sum(-1)

    fade = 6 * offset**5 - 15 * offset**4 + 10 * offset**3
    left_top, left_bottom = corner(0, 0), corner(1, 0)
    top = left_top + fade[..., 1] * (corner(0, 1) - left_top)
    bottom = left_bottom + fade[..., 1] * (corner(1, 1) - left_bottom)
    return np.sqrt(2) * (top + fade[..., 0] * (bottom - top))


def tuned_noise(size: tuple[int, int], angles: np.ndarray) -> np.ndarray:
    """The same in float32, with offsets and fades kept one-dimensional and no powers."""
    rows, columns = angles.shape[0] - 1, angles.shape[1] - 1
    tile = size[0] // rows, size[1] // columns
    gradients = np.stack([np.cos(angles), np.sin(angles)], -1).astype(np.float32)
    v = np.tile(np.arange(tile[0], dtype=np.float32) / tile[0], rows)[:, None]
    u = np.tile(np.arange(tile[1], dtype=np.float32) / tile[1], columns)[None]

    def corner(down: int, right: int) -> np.ndarray:
        nodes = gradients[down : down + rows, right : right + columns]
        spread = nodes.repeat(tile[0], 0).repeat(tile[1], 1)
        return spread[..., 0] * (v - down) + spread[..., 1] * (u - right)

    fade_v, fade_u = (t**3 * (t * (6 * t - 15) + 10) for t in (v, u))
    left_top, left_bottom = corner(0, 0), corner(1, 0)
    top = left_top + fade_u * (corner(0, 1) - left_top)
    bottom = left_bottom + fade_u * (corner(1, 1) - left_bottom)
    return np.float32(np.sqrt(2)) * (top + fade_v * (bottom - top))


def perlin(
    size: tuple[int, int],
    rng: np.random.Generator,
    resolution: tuple[int, int] = (0, 6),
    lattice: Callable[[tuple[int, int], np.ndarray], np.ndarray] = lattice_noise,
) -> np.ndarray:
    """(H, W) noise on 2^k lattice cells per axis, turned by a random angle. H and W must be powers of two."""
    cells = 2 ** rng.integers(*resolution, 2)
    noise = lattice(size, rng.uniform(0, 2 * np.pi, (cells[0] + 1, cells[1] + 1)))
    turn = cv2.getRotationMatrix2D((size[1] / 2 - 0.5, size[0] / 2 - 0.5), rng.uniform(-90, 90), 1)
    return cv2.warpAffine(noise, turn, size[::-1])


def largest(mask: np.ndarray) -> np.ndarray:
    """(H, W) bool: the largest 8-connected component; SciPy."""
    labels, count = label(mask, structure=np.ones((3, 3)))
    if count == 0:
        return mask
    return labels == 1 + np.bincount(labels.ravel())[1:].argmax()


def noise_mask(size: tuple[int, int], rng: np.random.Generator, most: float = 1.0) -> np.ndarray:
    """(H, W) bool: the largest component of noise > 0.5, or above a higher threshold where it covers too much."""
    noise, threshold = perlin(size, rng), 0.5
    threshold = min(threshold, 0.9 * noise.max())
    mask = largest(noise > threshold)
    while mask.mean() > most:
        threshold += 0.1 * (noise.max() - threshold)
        mask = largest(noise > threshold)
    return mask


def blend(image: np.ndarray, source: np.ndarray, mask: np.ndarray, alpha: float) -> np.ndarray:
    """Equation 3 of the paper on (H, W, C), float32 inside; the dtype of the image comes back."""
    m = mask[..., None].astype(np.float32)
    a = np.float32(alpha)
    mixed = (1 - m) * image + a * m * image + (1 - a) * m * source
    return mixed.astype(image.dtype) if image.dtype != np.uint8 else np.rint(mixed).astype(np.uint8)


def paste(image: np.ndarray, source: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """PasteNoise of one (H, W, C) image: the mixed image and its mask."""
    mask = noise_mask(image.shape[:2], rng)
    return blend(image, source, mask, rng.uniform(0.5, 1)), mask


def randaugment(image: Image.Image, chosen: Sequence[int], magnitudes: Sequence[int]) -> Image.Image:
    """The chosen ones of `PILLOW`, one after the other."""
    for number, magnitude in zip(chosen, magnitudes, strict=True):
        image = PILLOW[number](image, magnitude)
    return image


# In the order, and with the units, of dssm.reference.augment.OPERATIONS.
PILLOW = (
    lambda image, _: ImageOps.autocontrast(image),
    lambda image, bits: ImageOps.posterize(image, bits),
    lambda image, threshold: ImageOps.solarize(image, threshold),
    lambda image, factor: ImageEnhance.Sharpness(image).enhance(factor / 256),
    lambda image, factor: ImageEnhance.Brightness(image).enhance(factor / 256),
    lambda image, factor: ImageEnhance.Color(image).enhance(factor / 256),
)
