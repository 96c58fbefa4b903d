# SPDX-License-Identifier: Apache-2.0
"""The layout of MVTec AD."""

from __future__ import annotations

from pathlib import Path

import pytest

from dssm.data import Sample, discover
from dssm.errors import InputError


@pytest.fixture
def bottle(tmp_path: Path, make) -> Path:
    root = tmp_path / "bottle"
    for name in ("train/good/1.png", "train/good/0.png", "test/good/0.png", "test/dent/0.jpg", "test/crack/0.bmp",
                 "test/crack/1.bmp", "test/stain/0.png", "ground_truth/dent/0.png", "ground_truth/crack/0_mask.png",
                 "ground_truth/crack/1_mask.png"):  # fmt: skip
        make(root / name)
    return root


def test_samples(bottle: Path) -> None:
    found = discover(bottle)
    assert (found.name, found.layout, found.has_masks) == ("bottle", "mvtec", True)
    assert found.kinds == ("crack", "dent", "stain")
    assert found.train == (Sample(bottle / "train/good/0.png"), Sample(bottle / "train/good/1.png"))
    assert found.test == (
        Sample(bottle / "test/crack/0.bmp", "crack", bottle / "ground_truth/crack/0_mask.png"),
        Sample(bottle / "test/crack/1.bmp", "crack", bottle / "ground_truth/crack/1_mask.png"),
        Sample(bottle / "test/dent/0.jpg", "dent", bottle / "ground_truth/dent/0.png"),
        Sample(bottle / "test/good/0.png"),
        Sample(bottle / "test/stain/0.png", "stain"),
    )
    assert [sample.has_truth for sample in found.test] == [True, True, True, True, False]


def test_training_images_alone_are_enough(tmp_path: Path, make) -> None:
    make(tmp_path / "train/good/0.png")
    found = discover(tmp_path)
    assert (found.layout, len(found.train), found.test) == ("mvtec", 1, ())


def test_missing_mask(bottle: Path) -> None:
    (bottle / "ground_truth/crack/1_mask.png").unlink()
    with pytest.raises(InputError, match=r"1\.bmp has no mask 1_mask\.png"):
        discover(bottle)


def test_two_masks(bottle: Path, make) -> None:
    make(bottle / "ground_truth/dent/0_mask.png")
    with pytest.raises(InputError, match=r"dent/0\.jpg has two masks, .*0\.png and 0_mask\.png"):
        discover(bottle)


def test_no_training_image(bottle: Path) -> None:
    for image in (bottle / "train/good").iterdir():
        image.unlink()
    with pytest.raises(InputError, match="good holds no images"):
        discover(bottle)


@pytest.mark.parametrize(
    ("name", "train", "good", "defective", "masks"),
    [("mvtec/bottle", 209, 20, 63, 63), ("mvtec/screw", 320, 41, 119, 0), ("magnetic_tile", 400, 190, 392, 392)],
)
def test_real(real, name: str, train: int, good: int, defective: int, masks: int) -> None:
    found = discover(real(name))
    assert len(found.train) == train
    assert sum(sample.good for sample in found.test) == good
    assert sum(not sample.good for sample in found.test) == defective
    assert sum(sample.mask is not None for sample in found.test) == masks
