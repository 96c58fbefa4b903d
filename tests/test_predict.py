# SPDX-License-Identifier: Apache-2.0
"""`dssm predict`: many files, batches, and a folder that is watched."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor

from dssm import Detector
from dssm.cli import cli, watching
from dssm.cli.watching import Line
from dssm.detector import Prediction
from dssm.errors import InputError
from dssm.results import Results
from dssm.settings import Settings

from .test_results import full_after


@pytest.fixture(scope="module")
def detector(tiny: Settings, surfaces: Tensor) -> Detector:
    return Detector(tiny.replace(epochs=0), device="cpu").fit(surfaces, progress=False)


@pytest.fixture(scope="module")
def trained(detector: Detector, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    detector.save(folder)
    return folder


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    (tmp_path / "vom Band ü").mkdir()
    return tmp_path / "vom Band ü"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((out / "scores.csv").read_text(encoding="utf-8").splitlines()))


@contextmanager
def watched(detector: Detector, incoming: Path, out: Path, maps: str = "none") -> Iterator[Line]:
    """A run of a watch, whose looks the test takes itself."""
    with Results(out / "scores.csv", watching.HEADER) as results:
        yield Line(detector, incoming, results, batch=4, maps=maps)


def settle(line: Line) -> None:
    """Two looks: a file that both find alike is whole."""
    for _ in range(2):
        for _ in line.look():
            pass


def test_files_folders_and_patterns_in_batches(trained: Path, good_folder: Path, tmp_path: Path) -> None:
    images = [good_folder / "00.png", good_folder / "00.png", f"{good_folder}/0[1-4].png", good_folder]
    result = run("predict", trained, *images, "--out", tmp_path / "out", "--batch", "5", "--maps", "none")
    assert "of 24 images" in result.output
    assert "ms (p50)" in result.output
    assert "ms (p95)" in result.output
    rows = table(tmp_path / "out")
    assert [Path(row["file"]).name for row in rows] == [f"{i:02}.png" for i in range(24)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.html", "scores.csv"]


def test_names_never_lead_out_of_the_results(
    trained: Path, good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    shutil.copy(good_folder / "00.png", tmp_path / "here" / "a.png")
    shutil.copy(good_folder / "01.png", tmp_path / "there" / "b.png")
    monkeypatch.chdir(tmp_path / "here")
    run("predict", trained, "a.png", "../there/b.png", "--out", "out")
    assert (tmp_path / "here/out/heatmaps/here/a.png.png").exists()
    assert (tmp_path / "here/out/masks/there/b.png.png").exists()
    assert '["there/b.png",' in (tmp_path / "here/out/report.html").read_text(encoding="utf-8")


def test_a_watch_scores_what_is_there_and_what_comes(
    detector: Detector, good_folder: Path, incoming: Path, tmp_path: Path
) -> None:
    for i in range(6):
        shutil.copy(good_folder / f"{i:02}.png", incoming)
    with watched(detector, incoming, tmp_path / "out", maps="all") as line:
        settle(line)
        assert len(table(tmp_path / "out")) == 6
        (incoming / "ü 2").mkdir()
        shutil.copy(good_folder / "06.png", incoming / "ü 2" / "é é.png")
        settle(line)
        assert line.summary().startswith(f"{line.anomalous} of 7 images are anomalous")
    scores = {row["file"]: float(row["score"]) for row in table(tmp_path / "out")}
    assert scores == pytest.approx(
        {str(path): detector.predict(path)[0].score for path in incoming.rglob("*.png")}, rel=1e-3
    )
    assert (tmp_path / "out/heatmaps/ü 2/é é.png.png").exists()


def test_a_restart_scores_nothing_twice(
    detector: Detector, good_folder: Path, incoming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    monkeypatch.setattr(watching, "PATIENCE", 0)
    shutil.copy(good_folder / "00.png", incoming)
    (incoming / "notes.txt").write_text("mine")
    with watched(detector, incoming, out) as line:
        settle(line)
    before = (out / "scores.csv").read_bytes()
    (out / "scores.csv").write_bytes(before + b"cut li")  # as a power failure leaves it
    shutil.copy(good_folder / "01.png", incoming)
    with watched(detector, incoming, out) as line:
        settle(line)
        settle(line)
    assert (out / "scores.csv").read_bytes().startswith(before)
    assert sorted(Path(row["file"]).name for row in table(out)) == ["00.png", "01.png", "notes.txt"]


def test_a_half_written_image_is_scored_when_it_is_whole(
    detector: Detector, good_folder: Path, incoming: Path, tmp_path: Path
) -> None:
    data = (good_folder / "00.png").read_bytes()
    with watched(detector, incoming, tmp_path / "out") as line, (incoming / "slow.png").open("wb", buffering=0) as file:
        for part in (data[:300], data[300:-500]):
            file.write(part)
            settle(line)
            settle(line)
            assert table(tmp_path / "out") == []
        file.write(data[-500:])
        settle(line)
    (row,) = table(tmp_path / "out")
    assert float(row["score"]) == pytest.approx(detector.predict(good_folder / "00.png")[0].score, rel=1e-3)


def test_what_is_no_image_is_noted_once(
    detector: Detector, good_folder: Path, incoming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (incoming / "broken.png").write_bytes(b"no image")
    (incoming / "notes.txt").write_text("mine")
    with watched(detector, incoming, tmp_path / "out") as line:
        settle(line)
        assert table(tmp_path / "out") == []  # it may still become one
        monkeypatch.setattr(watching, "PATIENCE", 0)
        for _ in range(3):
            settle(line)
        shutil.copy(good_folder / "00.png", incoming)
        shutil.copy(good_folder / "01.png", incoming / "broken.png")  # somebody mends it
        settle(line)
    errors = {row["error"].split(":")[0].replace(str(incoming), ""): row["score"] for row in table(tmp_path / "out")}
    names = [Path(row["file"]).name for row in table(tmp_path / "out")]
    assert sorted(names[:2]) == ["broken.png", "notes.txt"]
    assert sorted(names[2:]) == ["00.png", "broken.png"]
    assert errors["cannot read the image /broken.png"] == ""
    assert errors["notes.txt is not called an image (.bmp .jpeg .jpg .png .tif .tiff)"] == ""


def test_an_image_that_the_detector_refuses_stops_nothing(
    detector: Detector, good_folder: Path, incoming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("00.png", "01.png", "02.png"):
        shutil.copy(good_folder / name, incoming)
    predict = detector.predict

    def choosy(paths: list[Path], **options: int) -> list[Prediction]:
        if any(path.name == "01.png" for path in paths):
            raise InputError("01.png is too small for a tile")
        return predict(paths, **options)

    monkeypatch.setattr(detector, "predict", choosy)
    with watched(detector, incoming, tmp_path / "out") as line:
        settle(line)
        settle(line)
    errors = {Path(row["file"]).name: row["error"] for row in table(tmp_path / "out")}
    assert errors == {"00.png": "", "01.png": "01.png is too small for a tile", "02.png": ""}


def test_an_image_that_changes_while_it_is_read_is_read_again(
    detector: Detector, good_folder: Path, incoming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = incoming / "a.png", tmp_path / "out"
    shutil.copy(good_folder / "00.png", path)
    predict = detector.predict

    def changed(paths: list[Path], **options: int) -> list[Prediction]:
        predictions = predict(paths, **options)
        Image.new("RGB", (64, 64), (250, 0, 0)).save(path)
        return predictions

    def gone(paths: list[Path], **options: int) -> list[Prediction]:
        path.unlink()
        return predict(paths, **options)

    with watched(detector, incoming, out) as line:
        for interference in (changed, gone):
            monkeypatch.setattr(detector, "predict", interference)
            settle(line)
            assert table(out) == []
        monkeypatch.setattr(detector, "predict", predict)
        shutil.copy(good_folder / "01.png", path)
        settle(line)
    (row,) = table(out)
    assert float(row["score"]) == pytest.approx(predict(good_folder / "01.png")[0].score, rel=1e-3)


def test_a_full_disk_loses_nothing(detector: Detector, good_folder: Path, incoming: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for i in range(4):
        shutil.copy(good_folder / f"{i:02}.png", incoming)
    with watched(detector, incoming, out) as line:
        with (
            full_after(60 + 2 * (len(os.fsencode(incoming)) + 80)),
            pytest.raises(InputError, match="once that is mended, the same command goes on from here"),
        ):
            settle(line)
    before = table(out)
    assert 0 < len(before) < 4
    with watched(detector, incoming, out) as line:
        settle(line)
    assert table(out)[: len(before)] == before
    assert len({row["file"] for row in table(out)}) == len(table(out)) == 4


def test_ctrl_c_ends_the_command(trained: Path, good_folder: Path, incoming: Path, tmp_path: Path) -> None:
    shutil.copy(good_folder / "00.png", incoming)
    command = [sys.executable, "-m", "dssm", "predict", str(trained), "--watch", str(incoming)]
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "out"), "--batch", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / "out/scores.csv").exists() or not table(tmp_path / "out"):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "of 1 images are anomalous" in output
    assert "images/s" in output
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "images or --watch"),
        (["a.png", "--watch", "."], "images or --watch"),
        (["--watch", "no such"], "no such folder"),
        (["--watch", "."], "lies in the watched folder"),
    ],
)
def test_what_cannot_be_watched(
    arguments: list[str], message: str, trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        run("predict", trained, *arguments, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_left_alone(trained: Path, incoming: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not of a watch"):
        run("predict", trained, "--watch", incoming, "--out", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["notes.txt"]
