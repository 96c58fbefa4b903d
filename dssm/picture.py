# SPDX-License-Identifier: Apache-2.0
"""Pictures for people: heat on surfaces, outlines of masks, and sheets of both, drawn with Pillow alone."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import max_pool2d

from dssm.errors import InputError
from dssm.files import atomic

Picture: TypeAlias = "Image.Image | np.ndarray | Tensor"
Colour: TypeAlias = tuple[int, int, int]

# Inferno at sixteen even steps: its lightness only rises, so hotter reads as hotter, in grey print too.
_INFERNO = (
    (0, 0, 4), (12, 8, 38), (36, 12, 79), (66, 10, 104), (93, 18, 110), (120, 28, 109), (147, 38, 103),
    (174, 48, 92), (199, 62, 76), (221, 81, 58), (237, 105, 37), (248, 133, 15), (252, 165, 10),
    (250, 198, 45), (242, 230, 97), (252, 255, 164),
)  # fmt: skip

_INK, _FAINT, _PAPER = (30, 30, 30), (110, 110, 110), (255, 255, 255)
_MARGIN, _GAP = 16, 6
_TITLE, _TEXT = 20, 13


def colormap(values: ArrayLike | Tensor) -> np.ndarray:
    """Inferno colours of values clipped to [0, 1]: (H, W) real -> (H, W, 3) uint8.

    Raises InputError on NaN or another shape.
    """
    positions = np.linspace(0, 1, len(_INFERNO))
    flat = _plane(values, "values")
    channels = [np.interp(flat, positions, channel) for channel in zip(*_INFERNO, strict=True)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def overlay(image: Picture, heat: ArrayLike | Tensor, lo: float, hi: float) -> Image.Image:
    """The surface in grey with heat on it: scores up to `lo` leave it bare, scores from `hi` on glow.

    `image` (3, H, W) or (1, H, W) uint8, or a PIL image; `heat` (h, w) real, resized to the image where it
    differs. Raises InputError on NaN or unless lo < hi, both finite.
    """
    if not -math.inf < lo < hi < math.inf:
        raise InputError(f"lo must be finite and below hi, not {lo} and {hi}")
    surface = as_pil(image)
    level = ((_plane(heat, "heat") - lo) / (hi - lo)).clip(0, 1).astype(np.float32)
    if level.shape != (surface.height, surface.width):
        level = np.asarray(Image.fromarray(level).resize(surface.size, Image.Resampling.BILINEAR))
    # In grey the surface cannot be mistaken for heat.
    grey = np.asarray(surface.convert("L"), dtype=np.float32)[..., None]
    strength = 0.8 * level[..., None]
    return Image.fromarray((grey * (1 - strength) + colormap(level) * strength).round().astype(np.uint8))


def outline(image: Picture, mask: ArrayLike | Tensor, colour: Colour = (0, 230, 118)) -> Image.Image:
    """The image with a thin closed contour around each region of `mask` (H, W), which stays unpainted itself.

    The line is 1 pixel on small images and grows with the image. Raises InputError when the sizes differ.
    """
    picture = np.array(as_pil(image))
    inside = torch.from_numpy(_plane(mask, "mask") != 0)
    if inside.shape != picture.shape[:2]:
        raise InputError(f"mask must have the size of its image, {picture.shape[:2]}, not {tuple(inside.shape)}")
    width = max(1, round(max(picture.shape) / 320))
    grown = max_pool2d(inside[None].float(), 2 * width + 1, stride=1, padding=width)[0] > 0
    # Where a region leaves the image, the line runs along the border.
    border = torch.ones_like(inside)
    border[width:-width, width:-width] = False
    picture[((grown & ~inside) | (inside & border)).numpy()] = colour
    return Image.fromarray(picture)


def sheet(
    rows: Sequence[Sequence[Picture]],
    *,
    headers: Sequence[str] | None = None,
    captions: Sequence[str] | None = None,
    title: str | None = None,
    cell: int = 256,
) -> Image.Image:
    """A white sheet of images in a grid of equal cells, `cell` pixels wide.

    `rows` may differ in length and their images in size: each is fitted into its cell, aspect kept. `headers`
    stand above the columns, `captions` below the rows (one each). Raises InputError when there is no image or
    the counts differ.
    """
    grid = [[as_pil(image) for image in row] for row in rows]
    images = [image for row in grid for image in row]
    if not images:
        raise InputError("rows must hold at least one image")
    columns = max(len(row) for row in grid)
    if headers is not None and len(headers) != columns:
        raise InputError(f"headers must be one per column, {columns}, not {len(headers)}")
    if captions is not None and len(captions) != len(grid):
        raise InputError(f"captions must be one per row, {len(grid)}, not {len(captions)}")

    # No cell is taller than it is wide, so that one upright image cannot stretch the whole sheet.
    height = max(1, min(cell, math.ceil(cell * max(image.height / image.width for image in images))))
    line = _TEXT + 12
    top = _MARGIN + (_TITLE + 12 if title else 0) + (line if headers else 0)
    step = height + (line if captions else 0) + _GAP
    width = 2 * _MARGIN + columns * cell + (columns - 1) * _GAP
    page = Image.new("RGB", (width, top + len(grid) * step - _GAP + _MARGIN), _PAPER)
    draw = ImageDraw.Draw(page)

    if title:
        _write(draw, (_MARGIN, _MARGIN), title, _TITLE, width - 2 * _MARGIN, _INK)
    for column, header in enumerate(headers or ()):
        _write(draw, (_MARGIN + column * (cell + _GAP), top - line + 4), header, _TEXT, cell, _INK)
    for number, row in enumerate(grid):
        y = top + number * step
        for column, image in enumerate(row):
            fitted = _fit(image, cell, height)
            x = _MARGIN + column * (cell + _GAP)
            page.paste(fitted, (x + (cell - fitted.width) // 2, y + (height - fitted.height) // 2))
        if captions:
            _write(draw, (_MARGIN, y + height + 2), captions[number], _TEXT, width - 2 * _MARGIN, _FAINT)
    return page


def save(image: Image.Image, path: str | Path) -> None:
    """Write a PNG, whole or not at all. Raises InputError when the folder cannot be written."""
    with atomic(path) as temporary:
        image.save(temporary, format="PNG")


def as_pil(image: Picture) -> Image.Image:
    """The RGB PIL image of a PIL image or a (3, H, W) or (1, H, W) uint8 array; else InputError."""
    if isinstance(image, Image.Image):
        return image.convert("RGB")
    array = image.detach().cpu().numpy() if isinstance(image, Tensor) else np.asarray(image)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[0] not in (1, 3) or not array.size:
        raise InputError(f"image must be (3, H, W) or (1, H, W) uint8, not {array.shape} {array.dtype}")
    planes = np.broadcast_to(array, (3, *array.shape[1:]))
    return Image.fromarray(np.ascontiguousarray(planes.transpose(1, 2, 0)))


def _plane(values: ArrayLike | Tensor, name: str) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().cpu().double().numpy()
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or not array.size:
        raise InputError(f"{name} must have the shape (H, W), not {array.shape}")
    if np.isnan(array).any():
        raise InputError(f"{name} must not contain NaN")
    return array


def _fit(image: Image.Image, width: int, height: int) -> Image.Image:
    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    # Few pixels are shown as the squares they are.
    tiny = max(image.size) <= 32
    return image.resize(size, Image.Resampling.NEAREST if tiny else Image.Resampling.LANCZOS)


def _write(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str, size: int, width: int, colour: Colour
) -> None:
    """One line of text, shortened at its end to fit the width."""
    font = ImageFont.load_default(size)
    text = " ".join(text.split())
    if draw.textlength(text, font) > width:
        lengths = [draw.textlength(text[:n] + "…", font) for n in range(min(len(text), width))]
        text = text[: max(bisect_right(lengths, width) - 1, 0)] + "…"
    draw.text(corner, text, colour, font)
