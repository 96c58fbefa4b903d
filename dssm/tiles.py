# SPDX-License-Identifier: Apache-2.0
"""Large images in overlapping tiles, which a method sees one by one, and their maps blended into one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dssm.methods import Method

Size = tuple[int, int]


@dataclass(frozen=True)
class Tiles:
    """Tiles of one size (height, width) that cover an image of any size.

    Neighbours share at least `overlap` of their sides, in [0, 1), and lie at even distances. An image that is smaller
    than a tile is mirrored at its lower and right borders.
    """

    size: Size
    overlap: float

    def places(self, size: Size) -> tuple[list[int], list[int]]:
        """The tiles' first rows and first columns in an image of `size`; every row with every column is a tile."""
        rows, columns = (_starts(tile, whole, self.overlap) for tile, whole in zip(self.size, size, strict=True))
        return rows, columns

    def count(self, size: Size) -> int:
        """How many tiles an image of `size` has."""
        rows, columns = self.places(size)
        return len(rows) * len(columns)

    def cut(self, images: Tensor) -> Tensor:
        """Images (B, C, H, W) -> their tiles (B T, C, h, w), image after image, row after row."""
        height, width = self.size
        rows, columns = self.places((images.shape[2], images.shape[3]))
        images = _mirrored(_mirrored(images, 2, height), 3, width)
        tiles = [images[:, :, y : y + height, x : x + width] for y, x in product(rows, columns)]
        return torch.stack(tiles, dim=1).flatten(0, 1)

    def join(self, maps: Tensor, size: Size) -> Tensor:
        """Maps of tiles (B T, h, w), in the order of `cut`, -> maps (B, H, W) of images of `size`.

        A pixel is the mean of the tiles that hold it, weighted by w_t / sum_t w_t, w(y, x) = sin^2(pi (y + 1/2) / h)
        sin^2(pi (x + 1/2) / w): tiles fade out towards their borders, where features know least of what is around.
        """
        height, width = self.size
        rows, columns = self.places(size)
        down, right = _shares(rows, height, maps), _shares(columns, width, maps)
        parts = maps.unflatten(0, (-1, len(rows), len(columns)))
        joined = maps.new_zeros(len(parts), rows[-1] + height, columns[-1] + width)
        for (i, y), (j, x) in product(enumerate(rows), enumerate(columns)):
            joined[:, y : y + height, x : x + width] += parts[:, i, j] * down[i][:, None] * right[j]
        return joined[:, : size[0], : size[1]]


def score(method: Method, images: Tensor, tiles: Tiles | None, *, at_once: int | None = None) -> tuple[Tensor, Tensor]:
    """`method.score` of whole images (B, 3, H, W) uint8: scores (B,) and maps (B, H, W).

    With tiles, a score is the largest of the image's tiles, and maps are blended by `Tiles.join`; `at_once` bounds the
    tiles that the method sees together.
    """
    if tiles is None:
        return method.score(images)
    cut = tiles.cut(images)
    scored = [method.score(part) for part in cut.split(at_once or len(cut))]
    scores, maps = (torch.cat(part) for part in zip(*scored, strict=True))
    return scores.view(len(images), -1).amax(1), tiles.join(maps, (images.shape[2], images.shape[3]))


def _starts(tile: int, whole: int, overlap: float) -> list[int]:
    """Where tiles begin along an axis, from the first pixel on, the last one flush with the end."""
    rest = max(whole - tile, 0)
    steps = math.ceil(rest / max(1, int(tile * (1 - overlap))))
    return [rest * i // steps for i in range(steps)] + [rest]


def _mirrored(images: Tensor, dim: int, least: int) -> Tensor:
    """One dimension of images, mirrored at its end until it is `least` pixels long."""
    size = images.shape[dim]
    if size >= least:
        return images
    index = torch.arange(least, device=images.device) % (2 * size)
    return images.index_select(dim, torch.where(index < size, index, 2 * size - 1 - index))


def _shares(starts: list[int], tile: int, like: Tensor) -> list[Tensor]:
    """The weights (tile,) of the tiles along an axis, which sum to one at every pixel."""
    fade = torch.sin(math.pi * (torch.arange(tile, device=like.device, dtype=like.dtype) + 0.5) / tile).square()
    total = like.new_zeros(starts[-1] + tile)
    for start in starts:
        total[start : start + tile] += fade
    return [fade / total[start : start + tile] for start in starts]
