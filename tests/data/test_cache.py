# SPDX-License-Identifier: Apache-2.0
"""Lists of images and masks as tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dssm.data import Sample, discover, load_images, load_masks
from dssm.data.cache import shrink_mask
from dssm.errors import InputError


def test_order_and_size(tmp_path: Path, make) -> None:
    shades = range(0, 250, 10)
    sizes = [(20 + shade, 300 - shade) for shade in shades]
    paths = [
        make(tmp_path / f"{shade}.png", pixels=np.full((*size[::-1], 3), shade, dtype=np.uint8))
        for shade, size in zip(shades, sizes, strict=True)
    ]
    images = load_images(paths, (32, 64))
    assert (images.shape, images.dtype) == ((25, 3, 32, 64), torch.uint8)
    assert images.flatten(1).unique(dim=1).squeeze().tolist() == list(shades)
    assert torch.equal(images, load_images([Sample(path) for path in paths], (32, 64)))


def test_resize_is_antialiased(tmp_path: Path, make) -> None:
    lines = np.zeros((256, 256), dtype=np.uint8)
    lines[::2] = 255
    image = load_images([make(tmp_path / "a.png", pixels=lines)], (32, 32))
    assert image.float().sub(127.5).abs().max() < 12


def test_same_size_is_untouched(tmp_path: Path, make) -> None:
    path = make(tmp_path / "a.png", (64, 32))
    expected = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)
    assert torch.equal(load_images([path], (32, 64))[0], expected)


def test_no_images() -> None:
    assert load_images([], (32, 64)).shape == (0, 3, 32, 64)
    assert load_masks([], (32, 64)).shape == (0, 32, 64)


def test_progress_bar(tmp_path: Path, make, capfd: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path / "a.png")
    load_images([path], (32, 32))
    assert capfd.readouterr().err == ""
    load_images([path], (32, 32), progress="reading")
    assert "reading: 100%" in capfd.readouterr().err


def test_one_broken_image_is_named(tmp_path: Path, make) -> None:
    paths = [make(tmp_path / f"{i}.png") for i in range(30)]
    paths[17].write_bytes(b"broken")
    with pytest.raises(InputError, match=r"17\.png"):
        load_images(paths, (32, 32))


def test_too_much_for_the_memory() -> None:
    with pytest.raises(InputError, match=r"the images would take .* GiB"):
        load_images([Path("a.png")] * 1000, (2**17, 2**17))


def test_mask_is_set_where_half_covered() -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[:, :33] = True  # of the third column of 16 pixels a single pixel
    mask[:8, 48:] = True  # just a half
    small = shrink_mask(mask, (4, 4))
    np.testing.assert_array_equal(small[:, :3], [[True, True, False]] * 4)
    assert small[:, 3].tolist() == [True, False, False, False]


def test_small_defect_does_not_vanish() -> None:
    mask = np.zeros((64, 64), dtype=bool)
    mask[20:23, 40] = True
    mask[0, 0] = True
    small = shrink_mask(mask, (4, 4))
    assert np.argwhere(small).tolist() == [[1, 2]]
    assert not shrink_mask(np.zeros((64, 64), dtype=bool), (4, 4)).any()


def test_mask_grows_too() -> None:
    mask = np.random.default_rng(0).random((8, 8)) > 0.5
    np.testing.assert_array_equal(shrink_mask(mask, (16, 32)), mask.repeat(2, 0).repeat(4, 1))


def test_masks(tmp_path: Path, make) -> None:
    truth = np.zeros((48, 64), dtype=np.uint8)
    truth[12:24, 16:32] = 255
    bad = Sample(make(tmp_path / "bad.png", (64, 48)), "dent", make(tmp_path / "mask.png", pixels=truth))
    good = Sample(make(tmp_path / "good.png", (64, 48)))
    masks = load_masks([good, bad], (4, 4))
    assert masks.dtype == torch.bool
    assert masks.nonzero().tolist() == [[1, 1, 1]]


def test_real_masks_keep_their_area(real) -> None:
    test = [sample for sample in discover(real("bsd")).test if not sample.good][::8]
    large, small = (load_masks(test, (side, 2 * side)).float().mean((1, 2)) for side in (256, 64))
    assert (small > 0).all()
    assert torch.corrcoef(torch.stack([large, small]))[0, 1] > 0.98
