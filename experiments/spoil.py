# SPDX-License-Identifier: Apache-2.0
"""Defects made by hand, to choose settings without looking at test images, mostly of kinds that training never pastes:
small and faint ones, broad ones, and changes of the whole image."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_fill_holes, gaussian_filter, map_coordinates
from skimage.filters import threshold_otsu
from torch import Tensor

from dssm import ops
from dssm.data.grey import grey_where

PASTED = ("noise", "scar", "patch")  # what training pastes, from other textures
UNSEEN = ("pit", "smear", "stain", "warp", "scratch")
BROAD = ("uneven", "shade", "break", "smear", "warp", "stain", "foreign")
WHOLE = ("tint", "dull", "blur", "light", "zoom")
AREA, BROAD_AREA = (0.0003, 0.01), (0.02, 0.25)  # share of the image
ON_PART, PLACES = 0.8, 30  # share of a defect that must lie on the part, and places tried for it


def spoil(
    images: Tensor, textures: Tensor, seed: int = 7000, parts: Tensor | None = None
) -> tuple[Tensor, Tensor, list[str]]:
    """Images and textures (n, 3, H, W) uint8 -> spoiled copies, their masks (n, H, W) bool and the kinds, in turns.

    With `parts` (n, H, W) bool the defects lie on the part that each image shows, as real ones do.
    """
    spoiled, masks, kinds = images.clone(), torch.zeros(len(images), *images.shape[2:], dtype=torch.bool), []
    for i in range(len(images)):
        rng = np.random.default_rng((seed, i))
        kind = (*PASTED, *UNSEEN)[i % len(PASTED + UNSEEN)]
        most = float(np.exp(rng.uniform(*np.log(AREA))))
        source = textures[int(rng.integers(len(textures)))][None]
        options = {"seed": seed, "area": (0.7 * most, most), "resolution": (2, 7 if kind in PASTED else 6)}
        index = _place(images[i], source, i, None if parts is None else parts[i], **options)
        if kind in PASTED:
            options |= {"kind": kind, "alpha": (0.3, 0.75)}
            spoiled[i : i + 1], masks[i : i + 1], _ = ops.paste(images[i : i + 1], source, index, **options)
        else:
            _, blob, _ = ops.paste(images[i : i + 1], source, index, **options)
            mask = _scratch(rng, blob.shape[1:]) if kind == "scratch" else blob[0].numpy()
            pixels = images[i].numpy().astype(np.float32)
            edge = 0.7 if kind == "scratch" else 1.5
            spoiled[i], masks[i] = _mixed(pixels, _altered(kind, rng, pixels), mask, edge)
        kinds.append(kind)
    return grey_where(images, spoiled), masks, kinds


def spoil_broadly(
    images: Tensor, textures: Tensor, seed: int = 8000, parts: Tensor | None = None
) -> tuple[Tensor, Tensor, list[str]]:
    """As `spoil`, with defects of 2 to 25 % of the image."""
    spoiled, masks, kinds = images.clone(), torch.zeros(len(images), *images.shape[2:], dtype=torch.bool), []
    for i in range(len(images)):
        rng = np.random.default_rng((seed, i))
        kind = BROAD[i % len(BROAD)]
        most = float(np.exp(rng.uniform(*np.log(BROAD_AREA))))
        source = textures[int(rng.integers(len(textures)))][None]
        options = {"seed": seed, "area": (0.7 * most, most), "resolution": (1, 4)}
        index = _place(images[i], source, i, None if parts is None else parts[i], **options)
        _, blob, _ = ops.paste(images[i : i + 1], source, index, **options)
        pixels = images[i].numpy().astype(np.float32)
        if kind == "uneven":
            rough = gaussian_filter(rng.normal(size=pixels.shape[1:]), 4) * rng.uniform(40, 120)
            altered = pixels + rough + rng.uniform(-25, 25)
        elif kind == "shade":  # as uneven, with nothing but its low contrast to see
            altered = pixels * (1 + rng.choice((-1, 1)) * rng.uniform(0.08, 0.25))
        elif kind == "break":
            altered = rng.uniform(10, 230) + gaussian_filter(rng.normal(size=pixels.shape), (0, 3, 3)) * 60
        elif kind == "foreign":
            altered = (pixels + images[(i + 7) % len(images)].numpy()[:, ::-1, ::-1]) / 2
        else:
            altered = _altered(kind, rng, pixels)
        spoiled[i], masks[i] = _mixed(pixels, altered, blob[0].numpy(), {"shade": 12, "break": 0.7}.get(kind, 3))
        kinds.append(f"broad {kind}")
    return grey_where(images, spoiled), masks, kinds


def parts_of(images: Tensor) -> Tensor:
    """Where images (n, 3, H, W) uint8 show a part in front of an even background: (n, H, W) bool."""
    found = []
    for pixels in images.numpy().astype(np.float32):
        border = np.concatenate([pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]], axis=1)
        distance = gaussian_filter(np.abs(pixels - np.median(border, axis=1)[:, None, None]).max(0), 2)
        found.append(torch.from_numpy(binary_fill_holes(distance > threshold_otsu(distance))))
    return torch.stack(found)


def change(images: Tensor, seed: int = 9000, tint: float = 0.15) -> Tensor:
    """Images (n, 3, H, W) uint8 changed all over, in turns: as under another light, focus or camera."""
    changed = images.clone()
    for i in range(len(images)):
        rng = np.random.default_rng((seed, i))
        kind, pixels = WHOLE[i % len(WHOLE)], images[i].numpy().astype(np.float32)
        height, width = pixels.shape[1:]
        if kind == "tint":
            pixels *= rng.uniform(1 - tint, 1 + tint, (3, 1, 1))
        elif kind == "dull":
            pixels = (pixels - pixels.mean()) * rng.uniform(0.6, 0.85) + pixels.mean()
        elif kind == "blur":
            sigma = rng.uniform(0.7, 1.5)
            pixels = gaussian_filter(pixels, (0, sigma, sigma))
        elif kind == "light":
            y, x = np.mgrid[:height, :width]
            angle = rng.uniform(0, 2 * np.pi)
            slope = np.cos(angle) * (2 * y / height - 1) + np.sin(angle) * (2 * x / width - 1)
            pixels *= 1 + rng.uniform(0.15, 0.35) * slope
        else:
            part = rng.uniform(1 / 1.3, 1 / 1.08)
            h, w = int(height * part), int(width * part)
            top, left = (height - h) // 2, (width - w) // 2
            cut = torch.from_numpy(pixels[None, :, top : top + h, left : left + w])
            pixels = F.interpolate(cut, size=(height, width), mode="bilinear", antialias=True)[0].numpy()
        changed[i] = torch.from_numpy(pixels.round().clip(0, 255).astype(np.uint8))
    return grey_where(images, changed)


def _place(image: Tensor, source: Tensor, number: int, part: Tensor | None, **options: Any) -> Tensor:
    """The first sample number, counted on from this one, whose patch lies on the part; that of the best, if none."""
    numbers = number + 1000 * torch.arange(1 if part is None else PLACES)
    if part is None:
        return numbers
    shares = []
    for tried in numbers.split(1):
        mask = ops.paste(image[None], source, tried, **options)[1][0]
        shares.append((mask & part).sum().item() / max(mask.sum().item(), 1))
        if shares[-1] >= ON_PART:
            break
    best = int(np.argmax(shares))
    return numbers[best : best + 1]


def _mixed(pixels: np.ndarray, altered: np.ndarray, mask: np.ndarray, edge: float) -> tuple[Tensor, Tensor]:
    """The altered image inside the mask, its edge blurred: uint8 (3, H, W), and the mask of what is mostly altered."""
    soft = gaussian_filter(mask.astype(np.float32), edge)
    soft /= soft.max()
    mixed = pixels + soft * (altered - pixels)
    return torch.from_numpy(mixed.round().clip(0, 255).astype(np.uint8)), torch.from_numpy(soft > 0.5)


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
