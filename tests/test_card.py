# SPDX-License-Identifier: Apache-2.0
"""The model card says what was trained on, by whose leave, and what was measured."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner, Result

from dssm.cli import cli

FAST = ["--size", "64", "--batch", "8", "--epochs", "0", "--set", "discriminator=20"]


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def test_the_card_of_a_run(good_folder: Path, tmp_path: Path) -> None:
    run("train", good_folder, "--out", tmp_path / "a", "--licence", "CC BY-SA 4.0", *FAST)
    card = (tmp_path / "a/model_card.md").read_text()
    assert f"data set: {good_folder.name} (layout folder)" in card
    assert "good images: 24, of which 2 were held out from training" in card
    assert "licence of the data: CC BY-SA 4.0" in card
    assert "Nothing yet" in card
    assert "map: fused" in card
    assert "2 good images are too few for 1 %, which takes 99" in card
    # The licence belongs to the data, so a config file repeats both.
    run("train", "--config", tmp_path / "a/config.yaml", "--out", tmp_path / "b")
    assert (tmp_path / "b/model_card.md").read_text() == card


def test_evaluate_adds_its_figures(good_folder: Path, tmp_path: Path) -> None:
    for kind in ("train/good", "test/good", "test/odd"):
        (tmp_path / "metal" / kind).mkdir(parents=True)
        for path in good_folder.iterdir():
            (tmp_path / "metal" / kind / path.name).write_bytes(path.read_bytes())
    run("train", tmp_path / "metal", "--out", tmp_path / "run", *FAST)
    before = (tmp_path / "run/model_card.md").read_text()
    run("evaluate", tmp_path / "run", "--out", tmp_path / "elsewhere")
    assert (tmp_path / "run/model_card.md").read_text() == before
    run("evaluate", tmp_path / "run")
    card = (tmp_path / "run/model_card.md").read_text()
    assert "On the test images of metal" in card
    assert "image AUROC" in card
    assert "licence of the data: not stated" in card
