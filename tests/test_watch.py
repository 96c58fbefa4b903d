# SPDX-License-Identifier: Apache-2.0
"""Files that arrive in a folder: found once, when they are whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dssm.errors import InputError
from dssm.watch import File, Stamp, Watch


def names(files: list[File]) -> list[str]:
    return [file.path.name for file in files]


@pytest.fixture
def watch(tmp_path: Path) -> Watch:
    return Watch(tmp_path, {})


def test_a_file_is_found_when_it_no_longer_grows(watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"1")
    assert watch.look() == []
    path.write_bytes(b"12")
    assert watch.look() == []
    (found,) = watch.look()
    assert found.path == path
    assert found.unchanged()
    assert names(watch.look()) == ["a.png"]  # until somebody takes it
    watch.take(found)
    assert watch.look() == []


def test_a_file_that_changes_is_a_new_one(watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"1")
    watch.look()
    (found,) = watch.look()
    path.write_bytes(b"12")
    assert not found.unchanged()
    watch.take(found)
    assert watch.look() == []
    assert names(watch.look()) == ["a.png"]
    path.unlink()
    assert watch.look() == []


def test_the_oldest_comes_first_and_subfolders_count(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name, age in (("a.png", 3), ("b/ü ü.png", 1), ("c.png", 2), (".d.png", 4), (".hidden/e.png", 5)):
        (tmp_path / name).write_bytes(b"1")
        os.utime(tmp_path / name, (age, age))
    watch.look()
    assert names(watch.look()) == ["ü ü.png", "c.png", "a.png"]


def test_what_is_no_file_is_passed_over(watch: Watch, tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("there are no pipes here")
    os.mkfifo(tmp_path / "pipe.png")  # whoever opens it waits for ever
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere")
    watch.look()
    assert watch.look() == []


def test_stamps_survive_as_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"123")
    os.utime(tmp_path / "a", ns=(0, 1_790_000_000_123_456_789))
    stamp = Stamp.of(tmp_path / "a")
    assert stamp.text() == ("2026-09-21T14:13:20.123456789", "3")
    assert Stamp.parse(*stamp.text()) == stamp


def test_a_folder_that_goes_away_is_named(watch: Watch, tmp_path: Path) -> None:
    watch.folder = tmp_path / "gone"
    with pytest.raises(InputError, match="gone"):
        watch.look()
