# SPDX-License-Identifier: Apache-2.0
"""From a folder that the user names to tensors of images, masks and textures."""

from __future__ import annotations

from dssm.data.cache import load_images, load_masks, load_tiles
from dssm.data.collection import GOOD, Collection, Sample, discover, find_images, resolve
from dssm.data.image import read, read_mask, read_size, resize
from dssm.data.size import fit_ratio, fit_size, parse_size
from dssm.data.texture import load_textures

__all__ = [
    "GOOD",
    "Collection",
    "Sample",
    "discover",
    "find_images",
    "fit_ratio",
    "fit_size",
    "load_images",
    "load_masks",
    "load_textures",
    "load_tiles",
    "parse_size",
    "read",
    "read_mask",
    "read_size",
    "resize",
    "resolve",
]
