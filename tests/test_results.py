# SPDX-License-Identifier: Apache-2.0
"""A table whose lines are whole, whatever happens while it is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dssm.errors import InputError
from dssm.results import Results

HEADER = ("file", "score")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out" / "scores.csv"


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """A disk on which no file can be longer."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_lines_of_an_earlier_run_stay(path: Path) -> None:
    with Results(path, HEADER) as results:
        results.append(["a, b.png", 1.5])
        assert path.read_bytes() == b'file,score\r\n"a, b.png",1.5\r\n'  # already on the disk
    with Results(path, HEADER) as results:
        results.append(["two\nlines.png", 2])
    with Results(path, HEADER) as results:
        assert [row["file"] for row in results.rows()] == ["a, b.png", "two\nlines.png"]


def test_names_need_not_be_utf8(path: Path) -> None:
    with Results(path, HEADER) as results:
        results.append(["\udcfcber", 1])
    assert b"\xfcber,1" in path.read_bytes()
    with Results(path, HEADER) as results:
        assert next(results.rows())["file"] == "\udcfcber"


@pytest.mark.parametrize("rest", ["b.pn", "b.png,2", '"b\n', '"b\r\n', '"b\nc.png",', "\0\0\0"])
def test_a_cut_line_is_removed(path: Path, rest: str) -> None:
    with Results(path, HEADER) as results:
        results.append(["a.png", 1])
    whole = path.read_bytes()
    path.write_bytes(whole + rest.encode())
    with Results(path, HEADER) as results:
        assert [row["file"] for row in results.rows()] == ["a.png"]
        assert path.read_bytes() == whole
        results.append(["c.png", 3])
        assert [row["file"] for row in results.rows()] == ["a.png", "c.png"]


def test_a_full_disk_leaves_the_lines_before(path: Path) -> None:
    with Results(path, HEADER) as results:
        results.append(["a.png", 1])
        whole = path.read_bytes()
        with full_after(len(whole) + 5), pytest.raises(InputError, match=r"cannot write .*scores\.csv: .*large"):
            results.append(["b.png", 2])
        assert path.read_bytes() == whole
        results.append(["b.png", 2])  # once there is room
    assert path.read_bytes() == whole + b"b.png,2\r\n"


def test_two_programs_cannot_write_one_table(path: Path) -> None:
    pytest.importorskip("fcntl")
    with Results(path, HEADER), pytest.raises(InputError, match="another program"):
        Results(path, HEADER)
    with Results(path, HEADER):
        pass


def test_another_table_is_left_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(InputError, match="not a table of these columns: file,score"):
        Results(path, HEADER)
    assert path.read_text() == "a,b,c\n1,2,3\n"
