# SPDX-License-Identifier: Apache-2.0
"""A clone of BSData, and its two protocols."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dssm.data import Collection, discover
from dssm.data.bsd import SPINDLE_SIZE, _spot
from dssm.errors import InputError


@pytest.fixture
def clone(tmp_path: Path, make) -> Path:
    """Six spots of the spindle with three normal images and a defective one each, and an image by another camera."""
    (tmp_path / "label").mkdir()
    for spot in range(6):
        for shot in range(4):
            make(tmp_path / "data" / f"01_{shot}_{spot}00_090_crop_2.jpg", SPINDLE_SIZE)
        (tmp_path / "label" / f"01_3_{spot}00_090_crop_2.json").write_text(json.dumps({"shapes": []}))
    make(tmp_path / "data" / "KGT1.jpg", (90, 40))
    return tmp_path


def defects(found: Collection) -> int:
    return sum(not sample.good for sample in found.test)


def test_paper_protocol(clone: Path) -> None:
    found = discover(clone, seed=0)
    assert (found.layout, found.kinds, found.has_masks) == ("bsd", ("pitting",), True)
    assert len(found.train) == round(631 / 710 * 19)
    assert (len(found.test), defects(found)) == (25 - len(found.train), 6)
    assert all(sample.mask == clone / "label" / f"{sample.path.stem}.json" for sample in found.test if not sample.good)
    assert found == discover(clone, protocol="paper", seed=0)
    assert found != discover(clone, seed=1)


@pytest.mark.parametrize("seed", [0, 1, 2, 4])
def test_strict_protocol(clone: Path, seed: int) -> None:
    found = discover(clone, protocol="strict", seed=seed)
    assert {_spot(sample.path) for sample in found.test} == {f"{seed % 3}00_090", f"{seed % 3 + 3}00_090"}
    assert (len(found.train), len(found.test), defects(found)) == (12, 8, 2)


def test_strict_needs_the_names(clone: Path, make) -> None:
    make(clone / "data" / "spindle.jpg", SPINDLE_SIZE)
    with pytest.raises(InputError, match=r"spindle\.jpg is not named"):
        discover(clone, protocol="strict")


def test_stray_label(clone: Path) -> None:
    (clone / "label" / "nothing.json").write_text("{}")
    with pytest.raises(InputError, match=r"nothing\.json has no image"):
        discover(clone)


def test_no_labels(clone: Path) -> None:
    for label in (clone / "label").iterdir():
        label.unlink()
    with pytest.raises(InputError, match="holds no labelme"):
        discover(clone)


def test_unknown_protocol(clone: Path) -> None:
    with pytest.raises(InputError, match=r"'loose' does not exist .* only paper and strict"):
        discover(clone, protocol="loose")


def test_real_paper(real) -> None:
    found = discover(real("bsd"))
    assert (len(found.train), len(found.test) - defects(found), defects(found)) == (631, 79, 394)
    assert not set(found.train) & set(found.test)


def test_real_strict(real) -> None:
    folds = [discover(real("bsd"), protocol="strict", seed=fold) for fold in range(3)]
    for fold in folds:
        assert not {_spot(sample.path) for sample in fold.train} & {_spot(sample.path) for sample in fold.test}
    tested = [sample for fold in folds for sample in fold.test]
    assert len(tested) == len(set(tested)) == 688 + 167
    assert sum(not sample.good for sample in tested) == 167
