# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from dssm import files
from dssm.errors import InputError


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_folder_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), files.new_folder(tmp_path / "out") as folder:
        (folder / "a.txt").write_text("half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_names_the_folder_that_was_asked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused, files.new_folder(tmp_path / "out") as folder:
        with files.atomic(folder / "a.txt"), open("/dev/full", "w") as full:
            full.write("x")
    assert str(refused.value) == f"cannot write {tmp_path / 'out' / 'a.txt'}: No space left on device"
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(InputError, match="exists already"), files.new_folder(tmp_path):
        pass


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*file/sub/a\.txt"):
        files.write_text(tmp_path / "file" / "sub" / "a.txt", "x")


def test_a_folder_is_renewed_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "out"
    for value in ("first", "second"):
        with files.renewed_folder(out) as folder:
            for name in ("a.txt", "b.txt"):
                files.write_text(folder / name, value)
    (out / "mine.txt").write_text("kept")
    with pytest.raises(InputError) as refused, files.renewed_folder(out) as folder:
        files.write_text(folder / "a.txt", "third")
        with files.atomic(folder / "b.txt"), open("/dev/full", "w") as full:
            full.write("x")
    assert str(refused.value) == f"cannot write {out / 'b.txt'}: No space left on device"
    assert {path.name: path.read_text() for path in out.iterdir()} == {
        "a.txt": "second",
        "b.txt": "second",
        "mine.txt": "kept",
    }
    assert list(tmp_path.joinpath("runs").iterdir()) == [out]


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No space left"), files.atomic(tmp_path / "a.txt"):
        with open("/dev/full", "w") as full:
            full.write("x")
    assert list(tmp_path.iterdir()) == []


def test_json_refuses_nan_and_names_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "a.json", float("nan"))
    (tmp_path / "b.json").write_text("{")
    with pytest.raises(InputError, match=r"b\.json is not valid JSON"):
        files.read_json(tmp_path / "b.json")
