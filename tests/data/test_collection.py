# SPDX-License-Identifier: Apache-2.0
"""Which layout a folder has, what discover refuses, and the plain folder of good images."""

from __future__ import annotations

from pathlib import Path

import pytest

from dssm.data.collection import Sample, discover
from dssm.data.sample import draw
from dssm.errors import InputError


def test_folder_of_good_images(tmp_path: Path, make) -> None:
    make(tmp_path / "parts" / "b.png")
    make(tmp_path / "parts" / "a" / "z.jpg")
    found = discover(tmp_path / "parts")
    assert (found.name, found.layout, found.test, found.has_masks, found.kinds) == ("parts", "folder", (), False, ())
    assert found.train == (Sample(tmp_path / "parts/a/z.jpg"), Sample(tmp_path / "parts/b.png"))


@pytest.mark.parametrize("labelled", ["test", "ground_truth"])
def test_folder_with_defects_inside_is_refused(tmp_path: Path, make, labelled: str) -> None:
    make(tmp_path / "bottle" / labelled / "broken" / "0.png")
    with pytest.raises(InputError, match=f"0.png lies below a folder named '{labelled}'"):
        discover(tmp_path)


def test_folder_below_one_named_test_is_fine(tmp_path: Path, make) -> None:
    make(tmp_path / "test" / "0.png")
    assert len(discover(tmp_path / "test").train) == 1


def test_bad_places(tmp_path: Path, make) -> None:
    with pytest.raises(InputError, match="missing: No such file"):
        discover(tmp_path / "missing")
    with pytest.raises(InputError, match=r"a.png is a file"):
        discover(make(tmp_path / "pictures" / "a.png"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty is empty"):
        discover(tmp_path / "empty")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "readme.txt").touch()
    with pytest.raises(InputError, match="text holds no images"):
        discover(tmp_path / "text")


def test_protocol_needs_a_layout_that_has_it(tmp_path: Path, make) -> None:
    make(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"'strict' does not exist .* folder, has no protocols"):
        discover(tmp_path, protocol="strict")


def test_draw_is_a_partition_that_the_seed_decides() -> None:
    samples = [Sample(Path(f"{i:03}.png")) for i in range(100)]
    drawn, rest = draw(samples, 30, seed=1)
    assert len(drawn) == 30
    assert sorted(drawn + rest, key=lambda s: s.path) == samples
    assert drawn == sorted(drawn, key=lambda s: s.path)
    assert draw(samples[::-1], 30, seed=1)[0] == drawn[::-1]
    assert draw(samples, 30, seed=2)[0] != drawn


def test_draw_is_fair() -> None:
    samples = [Sample(Path(f"{i}.png")) for i in range(20)]
    times = dict.fromkeys(samples, 0)
    for seed in range(400):
        for sample in draw(samples, 5, seed)[0]:
            times[sample] += 1
    # Binomial(400, 1/4): mean 100, standard deviation 8.7.
    assert all(60 < count < 140 for count in times.values())
