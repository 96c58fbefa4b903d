# SPDX-License-Identifier: Apache-2.0
"""Thresholds: what they promise, how well that is known, how they change without training, and the scale 0 to 1."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from torch import Tensor

from dssm import Detector
from dssm.cli import cli, main
from dssm.cli.options import Share
from dssm.errors import InputError
from dssm.scores import GoodScores, conformal_threshold, normalise
from dssm.scores.false_reject import beta_quantile, of_rank, of_value
from dssm.settings import Settings


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    with pytest.raises(SystemExit) as stop, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["dssm", *map(str, arguments)])
        main()
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, good_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "parts"
    few = ["--size", 64, "--epochs", 0, "--set", "holdout=0.5", "--set", "discriminator=20"]
    run("train", good_folder, "--out", folder, *few)
    return folder


@pytest.fixture(scope="module")
def fitted(tiny: Settings, surfaces: Tensor) -> Detector:
    settings = tiny.replace(epochs=0, holdout=0.5, false_reject=0.3, pixel_false_reject=0.1)
    return Detector(settings, device="cpu").fit(surfaces, progress=False)


@pytest.fixture
def model(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


class TestRate:
    def test_a_threshold_keeps_its_promise(self) -> None:
        """Over many draws, a new good score passes the threshold at most as often as promised, and nearly so."""
        generator = torch.Generator().manual_seed(0)
        rejected = []
        for _ in range(2000):
            scores = torch.randn(100, generator=generator).tolist()
            rejected.append(scores[-1] > conformal_threshold(scores[:-1], 0.05))
        assert 0.03 < np.mean(rejected) <= 0.065
        assert conformal_threshold([3.0, 1.0, 2.0], 0.01) == 3.0

    @pytest.mark.parametrize(("a", "b"), [(1, 1), (1, 76), (5, 300), (40, 3), (700, 1), (30, 5000)])
    def test_quantiles_are_scipys(self, a: int, b: int) -> None:
        for share in (0.025, 0.5, 0.975):
            assert beta_quantile(share, a, b) == pytest.approx(stats.beta.ppf(share, a, b), rel=1e-8)

    @pytest.mark.parametrize(("n", "asked"), [(76, 0.005), (99, 0.01), (150, 0.05)])
    def test_intervals_hold_the_true_rate_as_often_as_they_say(self, n: int, asked: float) -> None:
        generator = np.random.default_rng(0)
        rate = of_rank(range(n), asked)  # whatever the scores are
        true = stats.norm.sf([conformal_threshold(generator.normal(size=n).tolist(), asked) for _ in range(3000)])
        assert np.mean((rate.low <= true) & (true <= rate.high)) == pytest.approx(0.95, abs=0.015)
        assert np.mean(true) == pytest.approx(rate.expected, rel=0.06)
        assert rate.promised == (n >= 1 / asked - 1)

    @pytest.mark.parametrize("above", [0, 1, 7, 20])
    def test_by_hand_is_clopper_and_pearsons(self, above: int) -> None:
        rate = of_value([*[2.0] * above, *[1.0] * (20 - above)], 1.0)
        exact = stats.binomtest(above, 20).proportion_ci(0.95, method="exact")
        assert (rate.low, rate.high) == pytest.approx((exact.low, exact.high), rel=1e-8, abs=1e-12)
        assert rate.expected == above / 20
        assert rate.promised

    @given(asked=st.floats(0.001, 0.9))
    def test_as_many_images_as_needed_and_no_fewer_keep_the_promise(self, asked: float) -> None:
        needed = of_rank([0.0], asked).needed
        enough = of_rank([*range(needed)] or [0.0], asked)
        assert enough.promised
        assert enough.expected <= asked * (1 + 1e-6) or needed == 0
        if needed > 1:
            fewer = of_rank([*range(needed - 1)], asked)
            assert not fewer.promised
            assert fewer.expected > asked * (1 - 1e-6)
            assert fewer.threshold == needed - 2  # the largest

    def test_rounding_loses_no_image(self) -> None:
        for percent in range(1, 100):
            assert of_rank([*range(99)], percent / 100).expected == pytest.approx(percent / 100)


class TestNormalise:
    def test_three_anchors(self) -> None:
        assert [normalise(x, 12.0, 4.0) for x in (4.0, 12.0, 20.0)] == pytest.approx([0.1, 0.5, 0.9])

    @given(st.decimals(-50, 50, places=3).map(float), st.decimals(-50, 50, places=3).map(float))
    def test_it_rises_from_0_to_1(self, threshold: float, typical: float) -> None:
        scores = np.linspace(-1000, 1000, 4001)
        found = normalise(scores, threshold, typical)
        assert (np.diff(found) > 0).all()
        assert 0 < found[0] < found[-1] < 1
        assert ((found > 0.5) == (scores > threshold)).all()

    def test_maps_keep_their_dtype(self) -> None:
        found = normalise(np.linspace(0, 9, 10, dtype=np.float32), 5.0, 5.0)
        assert found.dtype == np.float32
        assert found[5] == 0.5


def test_what_is_kept_of_good_images() -> None:
    maps = torch.arange(24.0).reshape(3, 2, 4)
    good = GoodScores.collect([(torch.tensor([3.0, 1.0]), maps[:2]), (torch.tensor([2.0]), maps[2:])])
    assert (good.image, good.pixel) == ([1.0, 2.0, 3.0], [7.0, 15.0, 23.0])
    assert (good.typical_image, good.typical_pixel) == (2.0, 11.0)
    with pytest.raises(InputError, match="at least one good image"):
        GoodScores.collect([])


class TestDetector:
    def test_images_and_pixels_have_rates_of_their_own(self, fitted: Detector) -> None:
        rates = fitted.false_rejects()
        assert rates["image"].expected == pytest.approx(3 / 13)  # 12 good images
        assert rates["pixel"].expected == pytest.approx(1 / 13)
        assert rates["image"].threshold == fitted.thresholds["image"] == fitted.good.image[9]

    def test_what_nothing_is_said_of_stays(self, fitted: Detector) -> None:
        fitted.choose_thresholds(image=5.0)
        fitted.choose_thresholds(pixel_false_reject=0.5)
        assert fitted.by_hand == ("image",)
        assert fitted.thresholds["image"] == 5.0
        assert fitted.thresholds["pixel"] == fitted.good.pixel[6]
        fitted.choose_thresholds(false_reject=0.3)
        assert fitted.by_hand == ()
        assert fitted.thresholds["image"] == fitted.good.image[9]
        assert fitted.thresholds["pixel"] == fitted.good.pixel[9]

    def test_predictions_follow(self, fitted: Detector, surfaces: Tensor) -> None:
        score = fitted.predict(surfaces[:1])[0].score
        for threshold, anomalous in ((score - 1, True), (score, False), (score + 1, False)):
            fitted.choose_thresholds(image=threshold, pixel=0.0)
            prediction = fitted.predict(surfaces[:1])[0]
            assert prediction.anomalous == anomalous == (prediction.normalised > 0.5)
            assert np.array_equal(prediction.mask, prediction.normalised_map > 0.5)
            assert (prediction.normalised == 0.5) == (threshold == score)

    def test_more_good_images_take_the_place_of_few(self, fitted: Detector, surfaces: Tensor) -> None:
        rates = fitted.choose_thresholds(good=surfaces, false_reject=0.05)
        assert rates["image"].images == 24
        assert rates["image"].promised
        assert fitted.good.image == sorted(p.score for p in fitted.predict(surfaces))

    @pytest.mark.parametrize(
        ("changes", "word"),
        [
            ({"image": 1.0, "false_reject": 0.1}, "give one of them"),
            ({"pixel": 1.0, "pixel_false_reject": 0.1}, "give one of them"),
            ({"image": float("nan")}, "image must be finite"),
            ({"false_reject": 1.5}, "false_reject"),
            ({"false_reject": 0.5, "good": "/no/such/folder"}, "/no/such/folder"),
        ],
    )
    def test_refused_and_unchanged(self, fitted: Detector, changes: dict, word: str) -> None:
        before = fitted.decisions()
        with pytest.raises(InputError, match=word):
            fitted.choose_thresholds(**changes)
        assert fitted.decisions() == before


class TestCommand:
    def test_it_shows_and_changes_nothing(self, model: Path) -> None:
        before = {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()}
        shown = run("threshold", model).output
        assert "image" in shown
        assert shown.count("12 good images are too few for 1 %, which takes 99") == 1
        assert {path.name: path.read_bytes() for path in model.iterdir() if path.is_file()} == before

    def test_bundle_and_card_follow(self, model: Path) -> None:
        before = json.loads((model / "model.json").read_text())
        card = (model / "model_card.md").read_text()
        (model / "model_card.md").write_text(card.replace("Nothing yet;", "A table;"))
        shown = run("threshold", model, "--false-reject", "20%", "--pixel-false-reject", "0.5").output
        assert "too few" not in shown
        facts = json.loads((model / "model.json").read_text())
        assert facts["thresholds"]["image"] < before["thresholds"]["image"]
        assert facts["settings"]["false_reject"] == 0.2
        assert facts["settings"]["pixel_false_reject"] == 0.5
        assert (facts["sha256"], facts["good"]) == (before["sha256"], before["good"])
        card = (model / "model_card.md").read_text()
        assert f"above {facts['thresholds']['image']:.6g}" in card
        assert "A table;" in card
        table, _, written = shown.partition("written; ")
        assert "export them again" in written
        assert table.strip() in card
        assert Detector.load(model).thresholds["pixel"] == facts["thresholds"]["pixel"]

    def test_by_hand(self, model: Path) -> None:
        assert run("threshold", model, "--image", "12.5").output.count("by hand") == 1
        assert Detector.load(model).thresholds["image"] == 12.5
        assert run("threshold", model).output.count("by hand") == 1
        assert "by hand" not in run("threshold", model, "--false-reject", "0.2").output

    def test_more_good_images(self, model: Path, surfaces: Tensor, tmp_path: Path) -> None:
        (tmp_path / "more").mkdir()
        for i, surface in enumerate(surfaces.flip(3)[:6]):
            Image.fromarray(surface.permute(1, 2, 0).numpy()).save(tmp_path / f"more/{i}.png")
        run("threshold", model, "--good", tmp_path / "more")
        assert len(json.loads((model / "model.json").read_text())["good"]["image"]) == 6

    def test_images_of_the_training_are_refused(
        self, model: Path, good_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        message = refused(capsys, "threshold", model, "--good", good_folder / "03.png")
        assert "03.png is one of the images that the model was trained on" in message

    def test_a_bundle_of_an_older_format(self, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
        facts = json.loads((model / "model.json").read_text())
        (model / "model.json").write_text(json.dumps({**facts, "format": 2}))
        message = refused(capsys, "threshold", model)
        assert (
            f"has format 2; this version of dssm reads format 3: train it again (dssm train --config {model}" in message
        )

    @pytest.mark.parametrize("text", ["0", "100%", "1", "-3%", "half", "5", "nan"])
    def test_what_is_no_share(self, model: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert "0.5%" in refused(capsys, "threshold", model, f"--false-reject={text}")

    def test_shares_are_percentages_or_fractions(self) -> None:
        assert [Share().convert(text, None, None) for text in ("0.5%", "0.005", "12 %", "1e-3")] == pytest.approx(
            [0.005, 0.005, 0.12, 0.001]
        )
