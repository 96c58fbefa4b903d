# SPDX-License-Identifier: Apache-2.0
"""Heat maps on the images they belong to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from dssm import picture
from dssm.data import GOOD, read
from dssm.detector import Detector, Evaluation, Prediction

_LARGEST = (1024, 1024)  # pixels of a picture that waits for its sheet, which shows it smaller still


def heat(detector: Detector, image: Image.Image, prediction: Prediction) -> Image.Image:
    """The image under its map; colours start at what is typical of good images, their middle is the threshold."""
    typical, threshold = detector.thresholds["typical_pixel"], detector.thresholds["pixel"]
    span = max(threshold - typical, 1e-6)  # a map that is the same everywhere has no span
    return picture.overlay(image, resized(prediction.map, image.size), typical, typical + 2 * span)


def mask(detector: Detector, image: Image.Image, prediction: Prediction) -> np.ndarray:
    """(h, w) bool at the image's size: the map above the pixel threshold."""
    return resized(prediction.map, image.size) > detector.thresholds["pixel"]


def write_maps(folder: Path, name: Path, detector: Detector, image: Image.Image, prediction: Prediction) -> None:
    """heatmaps/NAME.png and masks/NAME.png below `folder`, at the image's size; `name` keeps its extension, for a.jpg
    and a.png may lie side by side."""
    for kind, drawn in (
        ("heatmaps", heat(detector, image, prediction)),
        ("masks", Image.fromarray(mask(detector, image, prediction))),
    ):
        picture.save(drawn, folder / kind / name.with_name(name.name + ".png"))


def resized(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A map (H, W) brought to an image's (width, height)."""
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))


def heatmap_sheet(detector: Detector, evaluation: Evaluation, *, rows: int = 12) -> Image.Image:
    """A row per image: the image, the truth where it is known, the heat map and the predicted mask.

    The images are spread evenly over the test set, a quarter of them good: nothing is picked by its score.
    """
    good = [i for i, sample in enumerate(evaluation.samples) if sample.kind == GOOD]
    bad = sorted(set(range(len(evaluation.samples))) - set(good), key=lambda i: evaluation.samples[i].kind)
    chosen = _spread(bad, rows - min(len(good), rows // 4)) + _spread(good, rows // 4)
    grid, captions = [], []
    for i in chosen:
        sample, prediction = evaluation.samples[i], evaluation.predictions[i]
        image = read(sample.path)
        row = [image, heat(detector, image, prediction), picture.outline(image, mask(detector, image, prediction))]
        if evaluation.masks is not None:
            truth = evaluation.masks[i]
            row.insert(1, image if truth is None else picture.outline(image, _upscaled(truth.numpy(), image)))
        for drawn in row:
            drawn.thumbnail(_LARGEST)
        grid.append(row)
        verdict = "anomalous" if prediction.anomalous else "good"
        captions.append(f"{sample.path.name} ({sample.kind}): score {prediction.score:.4g}, {verdict}")
    headers = ["image", *(["truth"] if evaluation.masks is not None else []), "heat map", "predicted"]
    return picture.sheet(grid, headers=headers, captions=captions)


def _upscaled(mask: np.ndarray, image: Image.Image) -> np.ndarray:
    return np.asarray(Image.fromarray(mask).resize(image.size, Image.Resampling.NEAREST))


def _spread(items: list[int], count: int) -> list[int]:
    """`count` items at equal distances, or all of them."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]
