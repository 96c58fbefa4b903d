# SPDX-License-Identifier: Apache-2.0
"""Finding image files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dssm.data.listing import entries, find_images, images_in
from dssm.errors import InputError


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in ("b.JPG", "a.tiff", "notes.txt", ".hidden.png", "deep/er/c.png", ".cache/d.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_folder_is_searched_in_depth_and_sorted(tree: Path) -> None:
    assert find_images(tree) == [tree / "a.tiff", tree / "b.JPG", tree / "deep/er/c.png"]
    assert images_in(tree) == [tree / "a.tiff", tree / "b.JPG"]


def test_file_is_taken_by_any_name(tree: Path) -> None:
    assert find_images(tree / "notes.txt") == [tree / "notes.txt"]


def test_pattern(tree: Path) -> None:
    assert find_images(f"{tree}/*") == [tree / "a.tiff", tree / "b.JPG"]
    assert find_images(f"{tree}/**/*.png") == [tree / "deep/er/c.png"]


def test_name_with_brackets_is_a_name_first(tmp_path: Path) -> None:
    (tmp_path / "[1].png").touch()
    assert find_images(tmp_path / "[1].png") == [tmp_path / "[1].png"]


@pytest.mark.parametrize("name", ["missing", "*.gif"])
def test_nothing_found(tree: Path, name: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        find_images(tree / name)


def test_only_other_files(tree: Path) -> None:
    with pytest.raises(InputError, match="holds no images"):
        find_images(f"{tree}/*.txt")


def test_unreadable_folder(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Permissions do not stop root, who runs tests in containers; so the system call is made to fail.
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(tree))

    monkeypatch.setattr(os, "scandir", denied)
    monkeypatch.setattr(os, "listdir", denied)
    with pytest.raises(InputError, match=f"cannot read the folder {tree}: Permission denied"):
        find_images(tree)
    with pytest.raises(InputError, match=f"cannot read the folder {tree}: Permission denied"):
        entries(tree)
