# SPDX-License-Identifier: Apache-2.0
"""`dssm reproduce` on small data: end to end, stopped and resumed, with data, methods and rows that are missing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from click.testing import Result
from PIL import Image

from dssm.cli import main
from dssm.errors import InputError
from dssm.reproduce import figures, job, systems
from dssm.reproduce.budgets import BUDGETS, Budget
from dssm.reproduce.datasets import BSD_STRICT
from dssm.reproduce.systems import System
from dssm.reproduce.tables import TABLES, Row, Table
from dssm.training import loop

Reproduce = Callable[..., Result]
STRICT = ["--on", "bsd-strict", "--seeds", "0"]


class PowerCut(BaseException):
    """What no handler catches."""


def lines(folder: Path, name: str = "table9") -> list[dict[str, Any]]:
    return json.loads((folder / f"{name}.json").read_text())


def count_steps(
    monkeypatch: pytest.MonkeyPatch, at: int | None = None, event: Callable[[], None] = lambda: None
) -> list:
    """Count training steps; before the one numbered `at`, something happens."""
    taken: list[int] = []
    step = loop._Trainer.step

    def counted(self: loop._Trainer, number: int) -> dict[str, float]:
        taken.append(number)
        if number == at:
            event()
        return step(self, number)

    monkeypatch.setattr(loop._Trainer, "step", counted)
    return taken


def power_cut() -> None:
    raise PowerCut


def test_a_table_end_to_end(reproduce: Reproduce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = ["9", "--only", "untrained", "--only", "mscm", "--seeds", "0"]
    result = reproduce(*rows)
    assert result.exit_code == 0, result.output
    found = lines(tmp_path / "out")
    assert {(line["row"], line["data"]) for line in found} == {
        (row, data) for row in ("untrained", "mscm") for data in ("bsd-paper", "bsd-strict")
    }
    trained = next(line for line in found if line["row"] == "mscm")
    assert 0 <= trained["metrics"]["image_auroc"] <= 1
    assert trained["seconds"]["training"] > 0
    assert trained["settings"] == {"size": [64, 64], "epochs": None, "samples": 20, "batch": 8, "textures": ANY}
    assert "| MSCM | " in result.output
    assert "97.42" in result.output
    taken = count_steps(monkeypatch)
    again = reproduce(*rows)
    assert again.exit_code == 0
    assert not taken
    assert again.stdout == result.stdout
    # The same settings under another name, in another table.
    assert "HOG and noise patches" in reproduce("7", "--only", "hog-np", "--seeds", "0", "--report").output

    assert "1 of 1" in reproduce(*rows, "--list").output
    assert reproduce(*rows, "--docs", str(tmp_path)).exit_code == 1, "a folder that is no checkout"
    monkeypatch.setattr(figures, "HEATMAPS", {"Figure 11: mask types": "9"})
    monkeypatch.setattr(figures, "BEST", systems.UNTRAINED)
    drawn = reproduce("figures", "--report")
    assert drawn.exit_code == 0, drawn.output
    assert "dropout has no model" in drawn.output
    for name in ("figure4.png", "figure9.png", "figure11-quick.png", "errors-bsd-strict.png"):
        with Image.open(tmp_path / "out" / "figures" / name) as picture:
            assert picture.width > 256


def test_a_killed_command_goes_on_where_it_was(
    reproduce: Reproduce, seconds: Budget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every_step = replace(seconds, schedule={**seconds.schedule, "checkpoint": 0.0})
    monkeypatch.setitem(BUDGETS, seconds.name, every_step)
    rows = ["9", "--only", "untrained", "--only", "mscm", *STRICT]
    with monkeypatch.context() as patch:
        taken = count_steps(patch)
        assert reproduce(*rows).exit_code == 0
        steps = len(taken)
    unbroken = lines(tmp_path / "out")

    for stop in ("power cut", "signal"):
        shutil.rmtree(tmp_path / "out")
        shutil.rmtree(tmp_path / "runs")
        with monkeypatch.context() as patch:
            if stop == "power cut":
                count_steps(patch, at=4, event=power_cut)
                with pytest.raises(PowerCut):
                    reproduce(*rows)
            else:
                count_steps(patch, at=3, event=lambda: os.kill(os.getpid(), signal.SIGTERM))
                stopped = reproduce(*rows)
                assert stopped.exit_code == 130
                assert "the same command goes on" in stopped.output
        assert [line["row"] for line in lines(tmp_path / "out")] == ["untrained"], "the finished row is kept"
        with monkeypatch.context() as patch:
            taken = count_steps(patch)
            assert reproduce(*rows).exit_code == 0
        assert taken == list(range(4, steps))
        assert [line["metrics"] for line in lines(tmp_path / "out")] == [line["metrics"] for line in unbroken]


def test_the_models_of_the_first_seed_stay(reproduce: Reproduce, tmp_path: Path) -> None:
    assert reproduce("9", "--only", "untrained", "--on", "bsd-strict", "--seeds", "1,0").exit_code == 0
    (model,) = (tmp_path / "runs").glob("*/model.safetensors")
    assert "bsd-strict-dssm-1-" in model.parent.name


def test_missing_data_is_left_out_in_a_line(reproduce: Reproduce, tmp_path: Path) -> None:
    result = reproduce("surfaces", "--only", "untrained", "--seeds", "0", "--on", "bottle", "--on", "pill")
    assert result.exit_code == 0, result.output
    left_out = [line for line in result.stderr.splitlines() if line.startswith("left out")]
    assert len(left_out) == 1
    assert "MVTec pill: there is no folder" in left_out[0]
    assert [line["data"] for line in lines(tmp_path / "out", "surfaces")] == ["bottle"]


def test_nothing_can_be_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dssm", "reproduce", "9", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
        main()
    assert stop.value.code == 2
    assert "nothing of 'Table 9: mask types' can be run here" in capsys.readouterr().err


def test_a_method_of_the_future_stops_no_other_row(
    reproduce: Reproduce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ghost = Row(System("ghost", "The Ghost", method="ghost"))
    table = Table("9", "a table", (ghost, *TABLES["9"].rows))
    monkeypatch.setitem(TABLES, "9", table)
    listing = reproduce("9", "--list", *STRICT)
    assert listing.exit_code == 0
    assert "left out: The Ghost: method must be one of" in listing.stderr
    assert "dropout" in listing.stdout
    result = reproduce("9", "--only", "ghost", "--only", "untrained", *STRICT)
    assert result.exit_code == 0
    assert [line["row"] for line in lines(tmp_path / "out")] == ["untrained"]


def test_a_row_that_fails_stops_no_other_row(
    reproduce: Reproduce, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = job.train

    def failing(what: job.Job, place: job.Place) -> Any:
        if what.system.name == "none":
            raise InputError("the loss is nan")
        return train(what, place)

    monkeypatch.setattr("dssm.reproduce.run.train", failing)
    result = reproduce("9", "--only", "none", "--only", "untrained", *STRICT)
    assert result.exit_code == 1
    assert "no mask, BSD, strict folds, seed 0: the loss is nan" in result.stderr
    assert [line["row"] for line in lines(tmp_path / "out")] == ["untrained"]


def test_two_commands_do_not_share_a_run_folder(reproduce: Reproduce, tmp_path: Path, seconds: Budget) -> None:
    fcntl = pytest.importorskip("fcntl")
    folder = job.Job(systems.UNTRAINED, seconds, BSD_STRICT, 0).folder(tmp_path / "runs")
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        result = reproduce("9", "--only", "untrained", *STRICT)
    assert result.exit_code == 1
    assert "another command trains in" in result.stderr


def test_changed_settings_are_run_again(reproduce: Reproduce, tmp_path: Path) -> None:
    rows = ["9", "--only", "untrained", *STRICT]
    assert reproduce(*rows).exit_code == 0
    (line,) = lines(tmp_path / "out")
    (tmp_path / "out" / "table9.json").write_text(json.dumps([line | {"settings": {"epochs": 0}}]))
    assert "0 of 1" in reproduce(*rows, "--list").output
    assert reproduce(*rows).exit_code == 0
    assert lines(tmp_path / "out")[0]["settings"] == line["settings"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["9", "--only", "nonsense"], "--only must be one of untrained, none"),
        (["9", "--on", "nonsense"], "--on must be one of bsd-paper"),
        (["9", "--seeds", "a"], "--seeds must be numbers"),
        ([], "say what to reproduce"),
    ],
)
def test_bad_input(reproduce: Reproduce, arguments: list[str], message: str) -> None:
    result = reproduce(*arguments)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
