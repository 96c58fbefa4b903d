# SPDX-License-Identifier: Apache-2.0
"""What a person can see of a training: the sheet of pasted patches, and TensorBoard."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor

from dssm import methods
from dssm.cli import cli
from dssm.settings import Settings
from dssm.training.batch import make_batch
from dssm.training.board import Board
from dssm.training.samples import sample_sheet

FAST = ["--size", "64", "--batch", "8", "--set", "samples=1", "--set", "discriminator=20"]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.mark.parametrize(
    ("method", "changes"),
    [
        ("dssm", {}),
        ("dssm", {"crop": 64}),
        ("cutpaste", {}),
        ("cutpaste", {"ways": 2}),
        ("draem", {"width": 0.1}),
        ("cdo", {}),
    ],
)
def test_masks_show_what_differs(method: str, changes: dict, surfaces: Tensor) -> None:
    settings = methods.defaults(method).replace(size=(64, 64), weights=None, area=(0.05, 0.4), **changes)
    good, pasted, masks = methods.build(settings).samples(surfaces[:6], surfaces[6:], torch.arange(6))
    assert good.shape == pasted.shape == (6, 3, 64, 64)
    differs = (good != pasted).any(1)
    assert differs.any()
    assert not (differs & ~masks).any()


def test_the_sheet_shows_the_first_epoch(tiny: Settings, surfaces: Tensor) -> None:
    """The numbers of the samples are those of the training, so what is shown is what will be seen."""
    settings = tiny.replace(area=(0.1, 0.5))
    sheet = sample_sheet(methods.build(settings), surfaces, surfaces, rows=3)
    assert sheet is not None
    batch = make_batch(surfaces[[0, 8, 16]], surfaces, torch.tensor([0, 8, 16]), settings)
    columns = np.asarray(sheet.convert("L"), dtype=float)
    white = [(columns[:, start : start + 256] > 250).mean() for start in (16, 16 + 2 * 262)]
    assert batch.masks.any()
    assert white[1] > white[0]  # the masks are white where the metal is not
    assert sheet.width == 16 + 3 * 256 + 2 * 6 + 16


def test_methods_that_paste_nothing_have_no_sheet(surfaces: Tensor) -> None:
    settings = methods.defaults("students").replace(size=(64, 64), weights=None)
    assert sample_sheet(methods.build(settings), surfaces, surfaces) is None


def test_a_sheet_in_every_run(good_folder: Path, tmp_path: Path) -> None:
    result = run("train", good_folder, "--out", tmp_path / "run", "--epochs", 1, *FAST)
    assert result.exit_code == 0, result.output
    with Image.open(tmp_path / "run/samples.png") as sheet:
        assert sheet.width > 3 * 256


def test_tensorboard_shows_the_log(good_folder: Path, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    result = run("train", good_folder, "--out", tmp_path / "run", "--epochs", 2, "--tensorboard", *FAST)
    assert result.exit_code == 0, result.output
    shown = accumulator.EventAccumulator(str(tmp_path / "run/tensorboard")).Reload()
    rows = list(csv.DictReader((tmp_path / "run/log.csv").read_text().splitlines()))
    for name in ("loss", "rate", "images_per_second"):
        found = [(event.step, event.value) for event in shown.Scalars(f"train/{name}")]
        assert found == [(i + 1, pytest.approx(float(row[name]), rel=1e-6)) for i, row in enumerate(rows)]
    assert len(shown.Images("samples")) == 1


def test_without_tensorboard_nothing_begins(good_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    result = run("train", good_folder, "--out", tmp_path / "run", "--tensorboard", *FAST)
    assert 'pip install "dssm-surface[tensorboard]"' in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_a_resumed_training_shows_no_epoch_twice(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for epochs, loss in (((1, 2, 3), 5.0), ((2, 3, 4), 4.0)):  # the checkpoint was of epoch 1
        with Board(tmp_path) as board:
            for epoch in epochs:
                board.epoch({"epoch": epoch, "loss": loss})
    shown = accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload().Scalars("train/loss")
    assert [(event.step, event.value) for event in shown] == [(1, 5.0), (2, 4.0), (3, 4.0), (4, 4.0)]
