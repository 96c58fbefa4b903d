# SPDX-License-Identifier: Apache-2.0
"""Small data sets in the layouts of BSData and MVTec AD, and a budget of seconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor

from dssm.cli import cli
from dssm.data.bsd import SPINDLE_SIZE
from dssm.reproduce.budgets import BUDGETS, Budget

SPOTS, SHOTS = 6, 5  # the last shot of a spot is defective


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory, surfaces: Tensor) -> Path:
    """A folder with bsd, 24 normal images and 6 with a pit, and mvtec/bottle, 12 to train on and 6 to test."""
    root = tmp_path_factory.mktemp("data")
    _write_bsd(root / "bsd", surfaces.numpy())
    _write_mvtec(root / "mvtec" / "bottle", surfaces.numpy().transpose(0, 2, 3, 1))
    return root


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch, good_folder: Path) -> Budget:
    """The budget `quick`, which takes a few steps on small images."""
    schedule = {"epochs": None, "samples": 20, "batch": 8}
    budget = Budget("quick", "a few steps", 1, {"size": (64, 64), "textures": str(good_folder)}, schedule)
    monkeypatch.setitem(BUDGETS, budget.name, budget)
    return budget


@pytest.fixture
def reproduce(data: Path, tmp_path: Path, seconds: Budget) -> Callable[..., Result]:
    """Run the command on the data, with results in out/ and runs in runs/ of the test's folder."""

    def run(*arguments: str) -> Result:
        places = ["--data", str(data), "--out", str(tmp_path / "out"), "--runs", str(tmp_path / "runs")]
        places += ["--budget", seconds.name]
        return CliRunner().invoke(cli, ["reproduce", *places, *arguments])

    return run


def _write_bsd(root: Path, surfaces: np.ndarray) -> None:
    width, height = SPINDLE_SIZE
    (root / "data").mkdir(parents=True)
    (root / "label").mkdir()
    for spot in range(SPOTS):
        for shot in range(SHOTS):
            name = f"01_{shot}_{spot}00_090_crop_2"
            rows = surfaces[(spot * SHOTS + shot) % len(surfaces), 0].repeat(8, 0)[:height, :1]
            pixels = np.tile(rows[..., None], (1, width, 3))
            if shot == SHOTS - 1:
                pixels[150:250, 400:650] = 10
                pit = {"label": "Pitting", "points": [[400, 150], [650, 150], [650, 250], [400, 250]]}
                (root / "label" / f"{name}.json").write_text(
                    json.dumps({"shapes": [pit], "imageWidth": width, "imageHeight": height})
                )
            Image.fromarray(pixels).save(root / "data" / f"{name}.jpg")


def _write_mvtec(root: Path, surfaces: np.ndarray) -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[20:26, 10:50] = 255
    for i, surface in enumerate(surfaces[:18]):
        pixels = surface.copy()
        folder = root / ("train/good" if i < 12 else "test/good" if i < 15 else "test/scratch")
        if i >= 15:
            pixels[mask > 0] = 20
            truth = root / "ground_truth" / "scratch" / f"{i}_mask.png"
            truth.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(truth)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{i}.png")
