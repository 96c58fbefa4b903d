# SPDX-License-Identifier: Apache-2.0
"""The images that anomalies are made of: I_e of eq. 3, textures unlike the images under inspection."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from tqdm import tqdm

from dssm.data.image import read
from dssm.data.listing import images_below
from dssm.data.procedural import procedural
from dssm.errors import InputError

BUILTIN = "builtin"
PROCEDURAL = 42  # three of each pattern
# What scikit-image carries inside its wheel and is full of texture.
PHOTOS = (
    "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png", "grass.png", "gravel.png",
    "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png", "page.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip


def load_textures(source: str | Path, size: tuple[int, int], *, progress: str | None = None) -> Tensor:
    """Return textures as uint8 (T, 3, H, W) with `size` = (H, W).

    `source` is a folder of images (with its subfolders), each resized to cover the size and cut to its centre; or
    "builtin": 42 procedural textures and, where scikit-image is installed, the photographs in its package. Nothing is
    downloaded. `progress` is the label of a progress bar. Raises InputError for a folder or image that cannot be read.
    """
    if str(source) == BUILTIN:
        return torch.cat([torch.from_numpy(procedural(PROCEDURAL, size)), _covering(_photos(), size, progress)])
    source = Path(source)
    if not source.is_dir():
        raise InputError(f"textures {source}: no such folder; give a folder of images, or {BUILTIN!r}")
    return _covering(images_below(source), size, progress)


def _covering(paths: list[Path], size: tuple[int, int], progress: str | None) -> Tensor:
    height, width = size
    textures = torch.empty(len(paths), 3, height, width, dtype=torch.uint8)
    for i, path in enumerate(tqdm(paths, desc=progress, disable=progress is None)):
        image = ImageOps.fit(read(path), (width, height), Image.Resampling.BILINEAR)
        textures[i] = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    return textures


def _photos() -> list[Path]:
    spec = find_spec("skimage")
    folders = spec.submodule_search_locations if spec else None
    photos = [Path(folder, "data", name) for folder in folders or () for name in PHOTOS]
    return [photo for photo in photos if photo.is_file()]
