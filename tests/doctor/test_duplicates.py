# SPDX-License-Identifier: Apache-2.0
"""The same picture is found among aligned parts that look alike, and nothing else is."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dssm.data import discover, find_images, read
from dssm.doctor.duplicates import BLOCK, same_pictures
from dssm.doctor.look import THUMBNAIL, look_at

FRAMES = 500  # shots of one tile lie this close in the 360,000 numbers of magnetic_tile's names


def thumbnail(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR))


def thumbnails(paths: list[Path]) -> np.ndarray:
    return np.stack([thumbnail(read(path)) for path in paths])


def saved_again(path: Path) -> Image.Image:
    image, file = read(path), io.BytesIO()
    image.resize((image.width // 2, image.height // 2)).save(file, "JPEG", quality=80)
    return Image.open(file)


def test_pairs_across_blocks() -> None:
    images = np.random.default_rng(0).integers(0, 256, (BLOCK + 40, THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    images[BLOCK + 7], images[BLOCK + 9] = images[3], images[BLOCK + 8]
    images[BLOCK + 20] = images[3]
    assert same_pictures(images) == [[3, BLOCK + 7, BLOCK + 20], [BLOCK + 8, BLOCK + 9]]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_images(count: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (count, THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    assert same_pictures(images) == []
    assert same_pictures(np.concatenate([images, images[:1]])) == [[0, count]]


def test_images_of_nothing_are_not_one_picture() -> None:
    grey = np.full((30, THUMBNAIL, THUMBNAIL), 120, np.uint8)
    assert same_pictures(grey) == []


@pytest.mark.parametrize("name", ["mvtec/bottle", "bsd"])
def test_aligned_parts_are_told_apart(name: str, real: Callable[[str], Path]) -> None:
    """Bottles under one light; three spots of a spindle, photographed again every four hours."""
    folder = real(name)
    paths = find_images(folder / "data") if name == "bsd" else [sample.path for sample in discover(folder).train]
    if name == "bsd":
        paths = [path for path in paths if re.search("_(277500_315|305000_090|332500_225)_", path.name)]
    copied = paths[5::40]
    images = np.concatenate([thumbnails(paths), np.stack([thumbnail(saved_again(path)) for path in copied])])
    assert same_pictures(images) == [[paths.index(path), len(paths) + i] for i, path in enumerate(copied)]


def test_a_tile_that_was_photographed_twice(real: Callable[[str], Path]) -> None:
    """The same tile under other exposures; numbers in the names count frames, so that near ones can be one tile."""
    collection = discover(real("magnetic_tile"))
    looks, _ = look_at(collection.train, collection.test)
    groups = same_pictures(np.stack([look.thumbnail for look in looks]))
    frames = [[int(re.findall(r"\d+", looks[i].path.stem)[-1]) for i in group] for group in groups]
    assert len(frames) > 20
    assert all(max(frame) - min(frame) <= FRAMES for frame in frames)
