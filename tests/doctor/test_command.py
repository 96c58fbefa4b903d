# SPDX-License-Identifier: Apache-2.0
"""`dssm doctor` as a user meets it."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from dssm.cli import cli, main
from dssm.doctor import contact_sheet, examine


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["doctor", *map(str, arguments)], catch_exceptions=False)


def test_a_sound_data_set(data: Path) -> None:
    result = run(data, "--defect", 20)
    assert result.exit_code == 0, result.output
    assert "train good" in result.output
    assert "problem" not in result.output


def test_a_problem_is_written_and_ends_with_status_1(data: Path, tmp_path: Path) -> None:
    (data / "train/good/03.png").write_bytes(b"")
    shutil.copy(data / "train/good/07.png", data / "test/good/again.png")
    out = tmp_path / "out"
    result = run(data, "--out", out)
    assert result.exit_code == 1
    assert "problem  1 file cannot be read" in result.output
    written = json.loads((out / "findings.json").read_text())
    assert written["images"] == {"train good": 30, "test dent": 4, "test good": 5}
    assert [f["about"] for f in written["findings"] if f["level"] == "problem"] == ["unreadable", "copies"]
    with open(out / "images.csv", newline="") as file:
        rows = {Path(row["file"]).name: row for row in csv.DictReader(file)}
    assert len(rows) == 38
    assert "picture 1" in rows["again.png"]["odd"]
    with Image.open(out / "contact.png") as sheet:
        assert sheet.width > 1000


def test_a_folder_of_good_images(data: Path) -> None:
    result = run(data / "train/good")
    assert result.exit_code == 0, result.output
    assert "layout folder" in result.output


def test_names_that_are_no_words(data: Path) -> None:
    """Spaces, an alphabet that the font lacks, and bytes that are no UTF-8."""
    for name in (b"a b.png", "東京 ü.png".encode(), b"\xff\xfe.png"):
        Path(str(data).encode().decode(), "train/good", name.decode(errors="surrogateescape")).write_bytes(b"")
    result = run(data)
    assert result.exit_code == 1
    assert "東京 ü.png: cannot read" in result.output
    assert contact_sheet(examine(data)).height > 300


def test_a_folder_in_use_is_refused_at_once(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["dssm", "doctor", str(data), "--out", str(data)])
    with pytest.raises(SystemExit) as stopped:
        main()
    error = capsys.readouterr().err
    assert stopped.value.code == 2
    assert "exists already" in error
    assert "images:" not in error  # nothing was read
