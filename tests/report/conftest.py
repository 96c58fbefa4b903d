# SPDX-License-Identifier: Apache-2.0
"""Predictions made by hand, and the report of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dssm import Detector
from dssm.data import GOOD, Sample
from dssm.detector import Evaluation, Prediction
from dssm.metrics import evaluate_scores
from dssm.report import report, report_evaluation

THRESHOLD = 10.0
THRESHOLDS = {"image": THRESHOLD, "pixel": 2.0, "typical_image": 5.0, "typical_pixel": 1.0}
# Folder and file of the first: its path holds the tag that would end a script.
NAMES = ["a</script><script>hacked=1", "<img src=x onerror=hacked=1>", "\"quoted\" & 'so on'", "ü ß 東京"]
SCORES = {
    GOOD: [1.0, 2.5, 4.0, 5.5, 7.0, 8.5, 9.5, 10.0, 10.5, 14.0],  # one on the threshold itself: it passes
    "scratch": [6.0, 9.0, 11.0, 12.5, 15.0, 21.0, 30.0],
    "dent": [3.0, 10.25, 19.0],
}
METRICS = {"image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC"}


@pytest.fixture(scope="session")
def detector() -> Detector:
    """Nothing is scored with it: the report reads its thresholds and settings."""
    made = Detector("quick", device="cpu")
    made.size = (48, 64)
    made.thresholds = THRESHOLDS
    made.data = {"name": "metal", "images": 40}
    return made


@pytest.fixture(scope="session")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Good and defective images, the defect a block in the picture, in the map and, but for dents, in the truth."""
    root = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    samples, predictions, masks = [], [], []
    for kind, scores in SCORES.items():
        for score in scores:
            number = len(samples)
            path = root / f"{NAMES[number] if number < len(NAMES) else f'image {number}'}.png"
            path.parent.mkdir(exist_ok=True)
            pixels = generator.integers(100, 140, (96, 128, 3), dtype=np.uint8)
            heat = generator.uniform(0.5, 1.5, (48, 64)).astype(np.float32)
            truth = np.zeros((48, 64), dtype=bool)
            if kind != GOOD:
                pixels[40:60, 30:80] = 20
                heat[20:30, 15:40] = 3 + score / 10
                truth[20:30, 15:40] = True
            Image.fromarray(pixels).save(path)
            marked = root / "mask.png" if kind == "scratch" else None
            samples.append(Sample(path, kind, marked))
            predictions.append(Prediction(path, score, score > THRESHOLD, heat, heat > 2, THRESHOLDS))
            masks.append(None if kind == "dent" else torch.from_numpy(truth))
    metrics = evaluate_scores(
        [p.score for p in predictions], [s.kind for s in samples], [p.map for p in predictions], masks
    )
    return Evaluation(metrics, tuple(samples), predictions, masks)


@pytest.fixture(scope="session")
def evaluated(tmp_path_factory: pytest.TempPathFactory, detector: Detector, evaluation: Evaluation) -> Path:
    """The report of the evaluation; the last image in its order of interest has no picture."""
    path = tmp_path_factory.mktemp("report") / "evaluated.html"
    count = len(evaluation.samples)
    report_evaluation(path, detector, evaluation, title="metal", columns=METRICS, pictures=count - 1)
    return path


@pytest.fixture(scope="session")
def predicted(tmp_path_factory: pytest.TempPathFactory, detector: Detector, evaluation: Evaluation) -> Path:
    """The report of the same predictions where nobody knows the truth."""
    path = tmp_path_factory.mktemp("report") / "predicted.html"
    with report(path, detector, title="new parts", root=evaluation.samples[5].path.parent) as page:
        for prediction in evaluation.predictions:
            page.add(prediction)
    return path
