# SPDX-License-Identifier: Apache-2.0
"""The file itself: what it holds, that it holds nothing else, and how large it may grow."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import tracemalloc
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dssm import Detector
from dssm.detector import Evaluation, Prediction
from dssm.errors import InputError
from dssm.report import picture, report


class Parsed(HTMLParser):
    """The scripts of a page by id or row, its styles, and all addresses that it names."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.data: dict[str, object] = {}
        self.code: list[str] = []
        self.styles: list[str] = []
        self.addresses: list[str] = []
        self.policy = ""
        self._inside: tuple[str, dict[str, str | None]] | None = None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self.addresses += [value or "" for name, value in attributes if name in ("src", "href", "srcset", "action")]
        if named.get("http-equiv") == "Content-Security-Policy":
            self.policy = named["content"] or ""
        if tag in ("script", "style"):
            self._inside = tag, named

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is None:
            return
        tag, named = self._inside
        if tag == "style":
            self.styles.append(data)
        elif named.get("type") == "application/json":
            self.data[named.get("id") or named.get("data-row") or ""] = json.loads(data)
        else:
            self.code.append(data)


def unpacked(coded: dict, name: str) -> np.ndarray:
    differences = np.frombuffer(zlib.decompress(base64.b64decode(coded[name])), np.uint8)
    return differences.reshape(coded["rows"], coded["columns"]).cumsum(axis=1, dtype=np.uint8)


def decoded(coded: dict) -> np.ndarray:
    return coded["low"] + unpacked(coded, "map") / 255 * (coded["high"] - coded["low"])


def test_every_prediction_is_a_line_whatever_it_is_called(evaluated: Path, evaluation: Evaluation) -> None:
    root = evaluation.samples[5].path.parent
    expected = [
        [str(sample.path.relative_to(root)), prediction.score, sample.kind]
        for sample, prediction in zip(evaluation.samples, evaluation.predictions, strict=True)
    ]
    assert Parsed(evaluated).data["rows"] == expected
    assert "</script><script>" in expected[0][0]


def test_nobody_knows_the_truth_of_predictions(predicted: Path, evaluation: Evaluation) -> None:
    parsed = Parsed(predicted)
    assert {kind for _, _, kind in parsed.data["rows"]} == {None}
    assert parsed.data["facts"]["metrics"] is None
    assert parsed.data["facts"]["pictures"] == len(evaluation.predictions)


def test_pictures_hold_image_map_and_truth(evaluated: Path, evaluation: Evaluation) -> None:
    data = Parsed(evaluated).data
    for row, (prediction, truth) in enumerate(zip(evaluation.predictions, evaluation.masks, strict=True)):
        if str(row) not in data:
            continue
        coded = data[str(row)]
        step = (coded["high"] - coded["low"]) / 255
        assert np.abs(decoded(coded) - prediction.map).max() <= step
        if truth is not None and truth.any():
            assert np.array_equal(unpacked(coded, "truth") > 127, truth.numpy())
        else:
            assert coded["truth"] is None
        with Image.open(io.BytesIO(base64.b64decode(coded["image"]))) as image, Image.open(prediction.path) as source:
            assert image.format == "JPEG"
            assert image.size == source.size == (coded["width"], coded["height"])
            assert np.abs(np.asarray(image, float).mean() - np.asarray(source, float).mean()) < 1


def test_pictures_are_of_wrong_verdicts_then_of_high_scores(
    detector: Detector, evaluation: Evaluation, tmp_path: Path
) -> None:
    with report(tmp_path / "few.html", detector, title="few", pictures=6) as page:
        for sample, prediction in zip(evaluation.samples, evaluation.predictions, strict=True):
            page.add(prediction, kind=sample.kind)
    data = Parsed(tmp_path / "few.html").data
    shown = [data["rows"][int(row)][1:] for row in data if row.isdigit()]
    # Five are judged wrongly; the sixth is the highest score of the others.
    wrong = [[10.5, "good"], [14.0, "good"], [6.0, "scratch"], [9.0, "scratch"], [3.0, "dent"]]
    assert sorted(shown, key=str) == sorted([*wrong, [30.0, "scratch"]], key=str)


def test_metrics_are_those_of_the_evaluation(evaluated: Path, evaluation: Evaluation) -> None:
    shown = Parsed(evaluated).data["facts"]["metrics"]
    assert shown["columns"] == ["image AUROC", "pixel AUROC"]
    expected = {"": evaluation.metrics, **evaluation.metrics["per_kind"]}
    assert shown["kinds"] == [[kind, [m["image_auroc"], m["pixel_auroc"]]] for kind, m in expected.items()]
    assert shown["kinds"][0][1][0] > 0.5


def test_the_page_asks_for_nothing_and_runs_one_script(evaluated: Path) -> None:
    parsed = Parsed(evaluated)
    assert parsed.addresses == ["data:,"]
    assert len(parsed.code) == len(parsed.styles) == 1
    for name, text in (("script-src", parsed.code[0]), ("style-src", parsed.styles[0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in parsed.policy
    assert parsed.policy.startswith("default-src 'none'; img-src data:;")
    assert "@import" not in parsed.styles[0]
    assert "url(" not in parsed.styles[0]


@pytest.mark.parametrize("size", [(4000, 3000), (8, 4096), (8, 8)])
def test_a_picture_is_of_bounded_size(size: tuple[int, int]) -> None:
    """Noise is what packs worst."""
    generator = np.random.default_rng(0)
    image = Image.fromarray(generator.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))
    heat = generator.normal(size=(512, 448)).astype(np.float32)
    coded = picture.encode(image, heat, heat > 3)
    assert len(json.dumps(coded)) <= picture.LIMIT + 300  # names and sizes
    assert decoded(coded).shape == (coded["rows"], coded["columns"])
    assert (unpacked(coded, "truth") > 127).any()


def test_a_map_that_is_the_same_everywhere() -> None:
    coded = picture.encode(Image.new("RGB", (64, 64)), np.full((32, 32), 2.5, np.float32), None)
    assert (decoded(coded) == 2.5).all()


def test_memory_does_not_grow_with_the_images(detector: Detector, tmp_path: Path) -> None:
    image = Image.new("RGB", (16, 16))

    def peak(count: int) -> int:
        tracemalloc.start()
        with report(tmp_path / f"{count}.html", detector, title="many", pictures=3) as page:
            for i in range(count):
                heat = np.full((8, 8), i, np.float32)
                page.add(Prediction(Path(f"{i}.png"), float(count - i), True, heat, heat > 0, {}), image)
        _, highest = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return highest

    peak(10)
    assert peak(4000) < peak(40) + 100_000


def test_a_report_that_fails_leaves_nothing(detector: Detector, evaluation: Evaluation, tmp_path: Path) -> None:
    missing = Prediction(tmp_path / "gone.png", 1.0, False, np.zeros((8, 8), np.float32), np.zeros((8, 8), bool), {})
    with pytest.raises(InputError, match=r"gone\.png"):
        with report(tmp_path / "out.html", detector, title="broken") as page:
            page.add(evaluation.predictions[0])
            page.add(missing)
    assert list(tmp_path.iterdir()) == []
