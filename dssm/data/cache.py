# SPDX-License-Identifier: Apache-2.0
"""All images of a list, or their tiles, in one tensor; and their masks."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from dssm.data.image import read, read_mask, read_size, resize
from dssm.data.sample import Sample
from dssm.errors import InputError
from dssm.scratch import mapped
from dssm.tiles import Tiles

THREADS = min(8, os.cpu_count() or 1)


def load_images(
    images: Sequence[Sample] | Sequence[Path], size: tuple[int, int], *, progress: str | None = None
) -> Tensor:
    """Read images, bring them to `size` (height, width) by `resize`, and return uint8 (N, 3, H, W) in order.

    They are decoded by a few threads (Pillow releases the interpreter lock) straight into the one tensor. `progress`
    is the label of a progress bar, None shows none. Raises InputError for the first image that cannot be read, and
    beforehand when the tensor would not fit in memory.
    """
    paths = [image.path if isinstance(image, Sample) else Path(image) for image in images]
    height, width = size
    _check_memory(len(paths) * 3 * height * width)
    tensor = torch.empty(len(paths), 3, height, width, dtype=torch.uint8)
    pixels = tensor.numpy()

    def load(i: int) -> None:
        pixels[i] = resize(read(paths[i]), size)

    _each(load, range(len(paths)), progress)
    return tensor


def load_tiles(
    paths: Sequence[Path], size: tuple[int, int] | None, tiles: Tiles, *, progress: str | None = None
) -> Tensor:
    """Read images, bring them to `size` (height, width) unless it is None, and return their tiles, uint8 (N, 3, h, w).

    Tiles that would take more than half of the memory lie in a temporary file, which the system pages in and out.
    Raises InputError for the first image that cannot be read, and beforehand when that file would not fit on its disk.
    """
    sizes = [size or read_size(path)[::-1] for path in paths]
    ends = list(accumulate((tiles.count(whole) for whole in sizes), initial=0))
    shape = (ends[-1], 3, *tiles.size)
    small = math.prod(shape) <= _memory() / 2
    pixels = torch.empty(shape, dtype=torch.uint8) if small else torch.from_numpy(mapped(shape))

    def load(i: int) -> None:
        image = torch.from_numpy(resize(read(paths[i]), sizes[i]))
        pixels[ends[i] : ends[i + 1]] = tiles.cut(image[None])

    _each(load, range(len(paths)), progress)
    return pixels


def load_masks(samples: Sequence[Sample], size: tuple[int, int], *, progress: str | None = None) -> Tensor:
    """Return the defective pixels of the samples as bool (N, H, W), `size` = (H, W); all False for a good sample.

    A pixel is set where the mask covers at least half of its area. Where it nowhere does, the pixels it covers most
    are set, so that no small defect vanishes. Raises InputError like `read_mask`.
    """
    masks = torch.zeros(len(samples), *size, dtype=torch.bool)

    def load(i: int) -> None:
        mask = read_mask(samples[i], read_size(samples[i].path))
        masks[i] = torch.from_numpy(shrink_mask(mask, size))

    _each(load, [i for i, sample in enumerate(samples) if not sample.good], progress)
    return masks


def shrink_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize one mask, bool (h, w) -> (H, W), by the rule of `load_masks`."""
    height, width = size
    area = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    coverage = np.asarray(area)
    most = coverage.max()
    # The margin is for the rounding of the float32 average.
    return (coverage > 0) & (coverage >= min(0.5, most) - 1e-5)


def _each(load: Callable[[int], None], indices: Iterable[int], progress: str | None) -> None:
    indices = list(indices)
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in tqdm(pool.map(load, indices), desc=progress, total=len(indices), disable=progress is None):
            pass


def _memory() -> float:
    """Bytes of this machine, where the system says so."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _check_memory(needed: int) -> None:
    there = _memory()
    if needed > there:
        raise InputError(
            f"the images would take {needed / 2**30:.1f} GiB of the {there / 2**30:.1f} GiB of memory; "
            "give fewer images or a smaller size"
        )
