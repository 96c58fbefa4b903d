# SPDX-License-Identifier: Apache-2.0
"""The command line as a user meets it, and every kind of bad input: one message, status 2, nothing left behind."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor

from dssm.cli import cli, main

FAST = ["--size", "64", "--batch", "8", "--epochs", "1", "--set", "samples=1", "--set", "discriminator=20"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=True)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run as the shell would; return the one line that it says."""
    with pytest.raises(SystemExit) as stop, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dssm", *map(str, arguments)])
        main()
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert "Traceback" not in message
    lines = [line for line in message.splitlines() if line.startswith("dssm: ")]
    assert len(lines) == 1, message
    return lines[0]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory, surfaces: Tensor) -> Path:
    """MVTec layout: 16 good images to train on, 4 good and 4 scratched ones to test, with masks."""
    root = tmp_path_factory.mktemp("data") / "metal"
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[20:26, 10:50] = 255
    for i, surface in enumerate(surfaces):
        pixels = surface.permute(1, 2, 0).numpy().copy()
        folder = root / ("train/good" if i < 16 else "test/good" if i < 20 else "test/scratch")
        if i >= 20:
            pixels[mask > 0] = 20
            truth = root / "ground_truth" / "scratch" / f"{i}_mask.png"
            truth.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(truth)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "metal"
    result = run("train", dataset, "--out", folder, *FAST)
    assert result.exit_code == 0, result.output
    return folder


def test_train_leaves_a_bundle_a_log_and_a_config(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names == {"config.yaml", "log.csv", "samples.png", "model.safetensors", "model.json", "model_card.md"}


def test_the_config_repeats_the_run(trained: Path, tmp_path: Path) -> None:
    result = run("train", "--config", trained / "config.yaml", "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "again/model.safetensors").read_bytes() == (trained / "model.safetensors").read_bytes()


def test_evaluate_writes_metrics_scores_and_a_picture(trained: Path, tmp_path: Path) -> None:
    result = run("evaluate", trained, "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "pixel AUROC" in result.output
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert {"image_auroc", "pixel_auroc", "pixel_aupro", "image_ap", "f1_max", "per_kind"} <= metrics.keys()
    assert metrics["per_kind"].keys() == {"scratch"}
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text().splitlines()))
    assert [row["kind"] for row in rows] == ["good"] * 4 + ["scratch"] * 4
    assert [float(row["normalised"]) > 0.5 for row in rows] == [row["anomalous"] == "1" for row in rows]
    assert metrics["defects_found"] == sum(int(row["anomalous"]) for row in rows[4:]) / 4
    assert metrics["good_rejected"] == sum(int(row["anomalous"]) for row in rows[:4]) / 4
    assert f"{100 * metrics['defects_found']:.1f} % of the defects found" in result.output
    with Image.open(tmp_path / "heatmaps.png") as sheet:
        assert sheet.width > 256
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert report.count('json" data-row=') == 8
    assert '["scratch/23.png",' in report


def test_predict_writes_maps_at_the_size_of_the_images(trained: Path, tmp_path: Path) -> None:
    images = tmp_path / "neu hier"
    (images / "a").mkdir(parents=True)
    for name, size in [("ü.png", (80, 50)), ("a/ü.png", (64, 64)), ("ü.bmp", (33, 200))]:
        Image.new("RGB", size, (120, 120, 120)).save(images / name)
    result = run("predict", trained, images, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((tmp_path / "out/scores.csv").read_text(encoding="utf-8").splitlines()))
    assert (tmp_path / "out/report.html").read_text(encoding="utf-8").count('json" data-row=') == 3
    assert len(rows) == 3
    for kind in ("heatmaps", "masks"):
        with Image.open(tmp_path / "out" / kind / "ü.bmp.png") as picture:
            assert picture.size == (33, 200)
        assert (tmp_path / "out" / kind / "a" / "ü.png.png").exists()


def test_names_need_not_be_utf8(trained: Path, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the file system takes UTF-8 alone")
    (tmp_path / "images").mkdir()
    name = os.fsencode(tmp_path / "images") + b"/\xfcber.png"
    Image.new("RGB", (64, 64), (120, 120, 120)).save(os.fsdecode(name))
    result = run("predict", trained, tmp_path / "images", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert name in (tmp_path / "out/scores.csv").read_bytes()
    assert "\\udcfcber.png" in (tmp_path / "out/report.html").read_text(encoding="utf-8")


def test_help_and_info_and_settings() -> None:
    for arguments in (["--help"], ["train", "--help"], ["info"], ["settings", "--preset", "best"]):
        assert run(*arguments).exit_code == 0
    assert "hog" in run("info").output


def test_resuming_a_finished_run_changes_nothing(trained: Path) -> None:
    before = (trained / "model.safetensors").read_bytes()
    result = run("train", "--resume", "--out", trained)
    assert result.exit_code == 0
    assert "trained already" in result.output
    assert (trained / "model.safetensors").read_bytes() == before


class TestBadInput:
    def test_no_such_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        message = refused(capsys, "train", tmp_path / "nowhere", "--out", tmp_path / "run", *FAST)
        assert "nowhere" in message

    def test_an_empty_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "empty").mkdir()
        assert "empty" in refused(capsys, "train", tmp_path / "empty", "--out", tmp_path / "run", *FAST)

    def test_nothing_to_train_on(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "say what to train on" in refused(capsys, "train", "--out", tmp_path / "run")

    def test_a_truncated_image(self, good_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = shutil.copytree(good_folder, tmp_path / "data")
        (data / "03.png").write_bytes((data / "03.png").read_bytes()[:500])
        assert "03.png" in refused(capsys, "train", data, "--out", tmp_path / "run", *FAST)
        assert not (tmp_path / "run" / "model.json").exists()

    def test_a_one_pixel_image(self, good_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        data = shutil.copytree(good_folder, tmp_path / "data")
        Image.new("RGB", (1, 1)).save(data / "03.png")
        assert "03.png" in refused(capsys, "train", data, "--out", tmp_path / "run", *FAST)

    def test_three_images(self, good_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "data").mkdir()
        for name in ("00.png", "01.png", "02.png"):
            shutil.copy(good_folder / name, tmp_path / "data")
        assert "3 good images" in refused(capsys, "train", tmp_path / "data", "--out", tmp_path / "run", *FAST)

    def test_a_mask_of_another_size(
        self, trained: Path, dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = shutil.copytree(dataset, tmp_path / "data")
        Image.new("L", (10, 10), 255).save(data / "ground_truth/scratch/20_mask.png")
        assert "20_mask.png" in refused(capsys, "evaluate", trained, data, "--out", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_run_folder_that_exists(
        self, good_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "notes.txt").write_text("mine")
        assert "exists already" in refused(capsys, "train", good_folder, "--out", tmp_path, *FAST)
        assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]

    def test_a_run_folder_that_cannot_be_written(
        self, good_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").write_text("")
        assert "cannot write" in refused(capsys, "train", good_folder, "--out", tmp_path / "file" / "run", *FAST)

    def test_a_model_that_is_none(self, good_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "not a trained model" in refused(capsys, "predict", tmp_path, good_folder, "--out", tmp_path / "out")

    def test_a_broken_image_leaves_no_results(
        self, trained: Path, good_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        data = shutil.copytree(good_folder, tmp_path / "data")
        (data / "23.png").write_bytes(b"")
        assert "23.png" in refused(capsys, "predict", trained, data, "--out", tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["data"]

    def test_a_flat_folder_cannot_be_evaluated(
        self, trained: Path, good_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        message = refused(capsys, "evaluate", trained, good_folder, "--out", tmp_path / "out")
        assert "dssm predict" in message

    @pytest.mark.parametrize(
        ("options", "word"),
        [
            (["--size", "100"], "multiples of 32"),
            (["--tile", "100"], "multiples of 32"),
            (["--size", "native"], "set tile too"),
            (["--set", "mask=sponge"], "mask"),
            (["--set", "nonsense"], "KEY=VALUE"),
            (["--set", "rate=["], "--set rate=["),
            (["--set", "no_such=1"], "no_such"),
            (["--epochs", "-1"], "epochs"),
            (["--protocol", "strict"], "protocol"),
            (["--set", "false_reject=1.5"], "false_reject"),
            (["--textures", "/no/such/folder"], "/no/such/folder"),
            (["--device", "warp"], "warp"),
            (["--config", "/no/such.yaml"], "/no/such.yaml"),
        ],
    )
    def test_options(
        self, options: list[str], word: str, good_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert word in refused(capsys, "train", good_folder, "--out", tmp_path / "run", *options)

    def test_resume_with_other_settings(self, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "epochs = 1, not 7" in refused(capsys, "train", "--resume", "--out", trained, "--epochs", "7")

    def test_resume_of_nothing(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "config.yaml" in refused(capsys, "train", "--resume", "--out", tmp_path / "nothing")

    def test_a_backend_that_cannot_run(
        self, trained: Path, good_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        if torch.cuda.is_available():
            pytest.skip("CUDA can run here")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DSSM_BACKEND", "cuda")
            message = refused(capsys, "predict", trained, good_folder, "--out", tmp_path / "out", "--device", "cpu")
        assert "'cuda'" in message


def test_names_with_spaces_and_of_any_alphabet(trained: Path, good_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "gute Teile ü 東京"
    data.mkdir()
    shutil.copy(good_folder / "00.png", data / "a b é 1.png")
    shutil.copy(good_folder / "01.png", os.fsencode(data) + b"/no \xff UTF-8.png")
    out = tmp_path / "Ergebnisse für 東京"
    assert run("predict", trained, data, "--out", out).exit_code == 0
    assert {path.name for path in (out / "masks").iterdir()} == {"a b é 1.png.png", "no \udcff UTF-8.png.png"}


def test_what_pillow_wonders_about_is_not_shown(
    trained: Path, good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It warns of images so large that they might be bombs; the tests make every warning an error."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 64 * 64 - 1)
    monkeypatch.setattr(sys, "argv", ["dssm", "predict", *map(str, (trained, good_folder, "--out", tmp_path / "out"))])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 0


def test_the_real_layouts_are_found(real: Callable[[str], Path], tmp_path: Path) -> None:
    """A few steps on a few real images through the front door."""
    data = real("mvtec/bottle")
    small = tmp_path / "bottle"
    for folder in ("train/good", "test/good", "test/contamination", "ground_truth/contamination"):
        (small / folder).mkdir(parents=True)
        for path in sorted((data / folder).iterdir())[:12]:
            shutil.copy(path, small / folder)
    assert run("train", small, "--out", tmp_path / "run", *FAST).exit_code == 0
    result = run("evaluate", tmp_path / "run")
    assert result.exit_code == 0, result.output


def test_info_names_what_cannot_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSSM_BACKEND", "triton")
    result = run("info")
    assert result.exit_code == 0
    assert "'triton'" in result.output


def test_python_m_dssm() -> None:
    done = subprocess.run([sys.executable, "-m", "dssm", "--version"], capture_output=True, text=True)
    assert done.returncode == 0
    assert "dssm" in done.stdout
