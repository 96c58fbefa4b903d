# SPDX-License-Identifier: Apache-2.0
"""Sizes as the user writes them, and as the images suggest."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from dssm.data import fit_size, parse_size
from dssm.errors import InputError


@pytest.mark.parametrize(
    ("text", "size"), [("256", (256, 256)), ("192x448", (192, 448)), (" 32X4096 ", (32, 4096)), ("0064", (64, 64))]
)
def test_parse(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "100", "192x", "x192", "192x448x3", "-64", "8192", "64.0", "big", "192,448"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(InputError, match="multiples of 32 from 32 to 4096"):
        parse_size(text)


@pytest.mark.parametrize(
    ("image", "size"),
    [((100, 100), (192, 192)), ((1130, 460), (128, 288)), ((460, 1130), (288, 128)), ((4000, 20), (64, 2720))],
)
def test_fit(tmp_path: Path, make, image: tuple[int, int], size: tuple[int, int]) -> None:
    assert fit_size([make(tmp_path / "a.png", image)], 192 * 192) == size


def test_fit_takes_the_median_of_images_spread_over_the_list(tmp_path: Path, make) -> None:
    wide, square = make(tmp_path / "wide.png", (400, 100)), make(tmp_path / "square.png", (100, 100))
    assert fit_size([wide] * 100 + [square] * 200, 128 * 128) == (128, 128)
    assert fit_size([wide] * 200 + [square] * 100, 128 * 128) == (64, 256)


def test_fit_sees_images_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (400, 100)).save(tmp_path / "a.jpg", exif=exif)
    assert fit_size([tmp_path / "a.jpg"], 128 * 128) == (256, 64)


def test_fit_needs_images() -> None:
    with pytest.raises(InputError, match="no images"):
        fit_size([], 128 * 128)


def test_fit_does_not_enlarge(tmp_path: Path, make) -> None:
    assert fit_size([make(tmp_path / "a.png", (384, 384))], 512 * 512) == (384, 384)
    assert fit_size([make(tmp_path / "b.png", (1130, 460))], 512 * 512) == (320, 800)
