# SPDX-License-Identifier: Apache-2.0
"""Defects made by hand, to choose settings without looking at test images: small, faint, and mostly of kinds that
training never pastes."""

from __future__ import annotations

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Tensor

from dssm import ops

PASTED = ("noise", "scar", "patch")  # what training pastes, from other textures
UNSEEN = ("pit", "smear", "stain", "warp", "scratch")
AREA = (0.0003, 0.01)  # share of the image


def spoil(images: Tensor, textures: Tensor, seed: int = 7000) -> tuple[Tensor, Tensor, list[str]]:
    """Images and textures (n, 3, H, W) uint8 -> spoiled copies, their masks (n, H, W) bool and the kinds, in turns."""
    spoiled, masks, kinds = images.clone(), torch.zeros(len(images), *images.shape[2:], dtype=torch.bool), []
    for i in range(len(images)):
        rng = np.random.default_rng((seed, i))
        kind = (*PASTED, *UNSEEN)[i % len(PASTED + UNSEEN)]
        most = float(np.exp(rng.uniform(*np.log(AREA))))
        source = textures[int(rng.integers(len(textures)))][None]
        options = {"seed": seed, "area": (0.7 * most, most)}
        index = torch.tensor([i])
        if kind in PASTED:
            options |= {"kind": kind, "alpha": (0.3, 0.75), "resolution": (2, 7)}
            spoiled[i : i + 1], masks[i : i + 1], _ = ops.paste(images[i : i + 1], source, index, **options)
        else:
            _, blob, _ = ops.paste(images[i : i + 1], source, index, resolution=(2, 6), **options)
            mask = _scratch(rng, blob.shape[1:]) if kind == "scratch" else blob[0].numpy()
            soft = gaussian_filter(mask.astype(np.float32), 0.7 if kind == "scratch" else 1.5)
            soft /= soft.max()
            pixels = images[i].numpy().astype(np.float32)
            mixed = pixels + soft * (_altered(kind, rng, pixels) - pixels)
            spoiled[i] = torch.from_numpy(mixed.round().clip(0, 255).astype(np.uint8))
            masks[i] = torch.from_numpy(soft > 0.5)
        kinds.append(kind)
    return spoiled, masks, kinds


def _altered(kind: str, rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """The whole image (3, H, W) as it looks inside the defect."""
    size = pixels.shape[1:]
    if kind == "pit":
        return pixels * rng.uniform(0.35, 0.75) + gaussian_filter(rng.normal(size=size), 1) * rng.uniform(0, 25)
    if kind == "smear":
        sigma = rng.uniform(2, 5)
        return gaussian_filter(pixels, (0, sigma, sigma))
    if kind == "stain":
        return pixels * rng.uniform(0.75, 1.25, (3, 1, 1)) + rng.uniform(-20, 20, (3, 1, 1))
    if kind == "warp":
        shift = gaussian_filter(rng.normal(size=(2, *size)), (0, 6, 6))
        y, x = np.mgrid[: size[0], : size[1]] + shift / shift.std() * rng.uniform(3, 8)
        return np.stack([map_coordinates(channel, [y, x], order=1, mode="reflect") for channel in pixels])
    return pixels + rng.choice((-1, 1)) * rng.uniform(25, 70)


def _scratch(rng: np.random.Generator, size: torch.Size) -> np.ndarray:
    """A thin line that bends a little."""
    height, width = size
    mask = np.zeros((height, width), dtype=bool)
    y, x, angle = rng.uniform(0.1, 0.9) * height, rng.uniform(0.1, 0.9) * width, rng.uniform(0, 2 * np.pi)
    mask[int(y), int(x)] = True
    for _ in range(int(rng.uniform(0.1, 0.6) * min(height, width))):
        angle += rng.normal() * 0.05
        y, x = y + 0.5 * np.sin(angle), x + 0.5 * np.cos(angle)
        thick = rng.integers(1, 3)
        mask[max(int(y), 0) : int(y) + thick, max(int(x), 0) : int(x) + thick] = True
    return mask
