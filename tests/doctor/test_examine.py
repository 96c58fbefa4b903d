# SPDX-License-Identifier: Apache-2.0
"""Every finding, on a data set with that one fault; and none on a sound one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dssm.doctor import Finding, examine
from dssm.errors import InputError
from dssm.settings import preset

ENOUGH = preset("quick").replace(false_reject=0.3)  # three held-out images can promise that


def found(data: Path, about: str, **options: float) -> list[Finding]:
    """The findings of one kind, notes of what there is left out."""
    examination = examine(data, settings=ENOUGH, **options)
    return [finding for finding in examination.findings if finding.about == about and finding.todo]


def names(finding: Finding) -> list[str]:
    return [mark.path.name for mark in finding.marks]


def part_of(data: Path, name: str) -> Image.Image:
    with Image.open(data / name) as image:
        return image.convert("RGB")


def test_a_sound_data_set(data: Path) -> None:
    examination = examine(data, settings=ENOUGH)
    assert [finding.level for finding in examination.findings] == ["note"] * 3
    assert examination.roles == {"train good": 30, "test dent": 4, "test good": 4}
    assert examination.problems == 0


def test_files_that_cannot_be_read(data: Path) -> None:
    (data / "train/good/03.png").write_text("no image")
    whole = (data / "test/dent/35.png").read_bytes()
    (data / "test/dent/35.png").write_bytes(whole[: len(whole) // 2])
    (unreadable,) = found(data, "unreadable")
    assert unreadable.level == "problem"
    assert names(unreadable) == ["03.png", "35.png"]


@pytest.mark.parametrize("change", ["copy", "jpeg", "half", "darker"])
def test_one_picture_in_training_and_test(data: Path, change: str) -> None:
    image = part_of(data, "train/good/07.png")
    if change == "copy":
        shutil.copy(data / "train/good/07.png", data / "test/good/again.png")
    elif change == "jpeg":
        image.save(data / "test/good/again.jpg", quality=60)
    elif change == "half":
        image.resize((48, 32)).save(data / "test/good/again.png")
    else:
        image.point(lambda value: value * 0.8).save(data / "test/good/again.png")
    (copied,) = found(data, "copies")
    assert copied.level == "problem"
    assert "trained on and tested" in copied.what
    assert [Path(name).stem for name in names(copied)] == ["07", "again"]


def test_one_picture_good_and_defective(data: Path) -> None:
    shutil.copy(data / "train/good/07.png", data / "test/dent/34.png")
    (copied,) = found(data, "copies")
    assert copied.level == "problem"
    assert "good and as defective" in copied.what


def test_one_picture_twice_in_training(data: Path) -> None:
    for name in ("a.png", "b.png"):
        shutil.copy(data / "train/good/07.png", data / "train/good" / name)
    (copied,) = found(data, "copies")
    assert copied.level == "warning"
    assert names(copied) == ["07.png", "a.png", "b.png"]


def test_odd_exposures(data: Path) -> None:
    part_of(data, "train/good/04.png").point(lambda value: value * 0.5).save(data / "train/good/04.png")
    green = np.asarray(part_of(data, "test/good/31.png")) * np.array([0.7, 1.1, 1])
    Image.fromarray(green.clip(0, 255).astype(np.uint8)).save(data / "test/good/31.png")
    train, test = found(data, "exposure")
    assert (names(train), names(test)) == (["04.png"], ["31.png"])
    assert "brightness" in train.marks[0].why
    assert "red - green" in test.marks[0].why


def test_an_empty_image(data: Path) -> None:
    Image.new("RGB", (96, 64), (120, 120, 120)).save(data / "train/good/04.png")
    assert names(found(data, "empty")[0]) == ["04.png"]


def test_sizes_and_shapes(data: Path) -> None:
    part_of(data, "train/good/04.png").crop((0, 0, 40, 64)).save(data / "train/good/04.png")
    (odd,) = found(data, "size")
    assert names(odd) == ["04.png"]
    assert "40x64" in odd.marks[0].why


def test_a_size_that_tells_the_defective(data: Path) -> None:
    for path in (data / "test/dent").iterdir():
        part_of(data, f"test/dent/{path.name}").resize((104, 68)).save(path)
        mask = data / "ground_truth/dent" / f"{path.stem}_mask.png"
        with Image.open(mask) as image:
            image.resize((104, 68)).save(mask)
    (telling,) = found(data, "size")
    assert "4 of 4 defective images" in telling.what


def test_grey_among_coloured(data: Path) -> None:
    part_of(data, "train/good/04.png").convert("L").save(data / "train/good/04.png")
    part_of(data, "train/good/05.png").convert("RGBA").save(data / "train/good/05.png")
    grey, alpha = found(data, "channels")
    assert (names(grey), names(alpha)) == (["04.png"], ["05.png"])


def test_twelve_bits_in_sixteen(data: Path) -> None:
    folder = data / "train/good"
    for path in folder.iterdir():
        grey = np.asarray(part_of(data, f"train/good/{path.name}").convert("L")).astype(np.uint16)
        Image.fromarray(grey * 16).save(path)
    Image.fromarray(np.full((64, 96), 4095, np.uint16)).save(folder / "white.png")
    (wasted,) = found(folder, "bits")
    assert wasted.level == "problem"
    assert "lowest 17 of 256" in wasted.what


def test_too_few_images(data: Path) -> None:
    for path in sorted((data / "train/good").iterdir())[9:]:
        path.unlink()
    (few,) = found(data, "amount")
    assert few.level == "problem"
    assert "9 good images" in few.what


def test_too_few_for_the_promise(data: Path) -> None:
    """3 of 30 are held out: the largest of 3 scores is exceeded by the next with probability 1/4."""
    examination = examine(data, settings=ENOUGH.replace(false_reject=0.2))
    (promise,) = (finding for finding in examination.findings if finding.about == "amount")
    assert promise.level == "warning"
    assert "1 good part in 4 (25 %)" in promise.what
    assert "give 40 good images" in promise.todo  # 4 of 40 held out promise 1/5
    assert "holdout=0.14" in promise.todo  # 4 of 30


@pytest.mark.parametrize(("mask", "word"), [((96, 64), "marks nothing"), ((50, 64), "50x64"), (None, "cannot read")])
def test_masks(data: Path, mask: tuple[int, int] | None, word: str) -> None:
    path = data / "ground_truth/dent/35_mask.png"
    if mask:
        Image.new("L", mask).save(path)
    else:
        path.write_bytes(b"")
    (bad,) = found(data, "mask")
    assert bad.level == ("warning" if mask == (96, 64) else "problem")
    assert word in bad.marks[0].why


def test_a_layout_that_contradicts_itself(data: Path) -> None:
    """The images are looked at all the same."""
    (data / "ground_truth/dent/35_mask.png").unlink()
    (data / "train/good/03.png").write_text("no image")
    examination = examine(data)
    layout, unreadable = (finding for finding in examination.findings if finding.level == "problem")
    assert "35.png has no mask" in layout.what
    assert names(unreadable) == ["03.png"]


def test_pictures_that_are_not_used(data: Path) -> None:
    (data / "train/bad").mkdir()
    shutil.copy(data / "train/good/04.png", data / "train/bad")
    part_of(data, "train/good/05.png").save(data / "train/good/x.webp")
    (unused,) = found(data, "layout")
    assert [mark.why for mark in unused.marks] == ["not used", "dssm does not read .webp"]


def test_names_of_folders(data: Path) -> None:
    (data / "test/good").rename(data / "test/OK")
    (defects,) = found(data, "layout")
    assert "test/OK counts as a class of defects" in defects.what
    (data / "train/good/NG").mkdir()
    shutil.copy(data / "test/dent/34.png", data / "train/good/NG")
    (learnt,) = found(data / "train/good", "layout")
    assert learnt.level == "problem"
    assert "NG" in learnt.what


@pytest.mark.parametrize("defect", [0, -1, float("nan"), float("inf")])
def test_a_defect_of_no_size(data: Path, defect: float) -> None:
    with pytest.raises(InputError, match="defect must be"):
        examine(data, defect=defect)


def test_no_image_at_all(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(InputError, match="is empty"):
        examine(tmp_path / "data")
