# SPDX-License-Identifier: Apache-2.0
"""Whether an exported model says what the model says that it was made from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from dssm import files
from dssm.data import Sample, elpv, find_images, load_masks, read, resize
from dssm.detector import Detector, Prediction
from dssm.errors import InputError
from dssm.export.session import Exported
from dssm.files import FACTS
from dssm.metrics import PixelMetrics, auroc

# Largest difference of a score or of a value of a map, as a share of 1 + its size. 8 bits have thresholds of their own.
TOLERANCES = {"float32": 0.01, "int8": math.inf}
# An image this near to the threshold, as a share of 1 + its size, may fall on either side: the one that set it does.
ROUNDING = 1e-5


@dataclass
class Side:
    """What one of the two models said of all images."""

    predict: Callable[[np.ndarray], Prediction]
    scores: list[float] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    pixels: PixelMetrics = field(default_factory=PixelMetrics)

    def score(self, image: np.ndarray) -> Prediction:
        began = time.perf_counter()
        prediction = self.predict(image)
        self.milliseconds.append(1e3 * (time.perf_counter() - began))
        self.scores.append(prediction.score)
        return prediction

    def pixel_auroc(self) -> float:
        return self.pixels.compute()["pixel_auroc"]


@dataclass(frozen=True)
class Parity:
    """How far an exported model (the second of each pair) is from its checkpoint (the first), over some images."""

    images: int
    score: float  # largest |a - b| / (1 + |a|)
    map: float  # the same of the values of the maps, both made from the same resized bytes
    verdicts: int  # images that one of the two calls anomalous and the other good, and not by rounding
    pixels: float  # share of the pixels in one mask and not in the other
    tolerance: float  # of score and map
    differing: float  # share of the verdicts that may differ
    milliseconds: tuple[list[float], list[float]]  # per image, decoded pixels to mask
    threads: int
    image_auroc: tuple[float, float] | None  # where the images' defects are known
    pixel_auroc: tuple[float, float] | None

    @property
    def holds(self) -> bool:
        """Whether verdicts, scores and maps differ by no more than they may."""
        apart = np.maximum(self.score, self.map)
        return bool(apart <= self.tolerance) and self.verdicts <= self.differing * self.images


def verify(
    run: str | Path,
    model: str | Path,
    images: str | Path,
    *,
    tolerance: float | None = None,
    differing: float = 0.0,
    progress: bool = True,
) -> Parity:
    """Compare the model in the folder `run` with the file `model` that was exported from it, image by image.

    `images`: a file, a folder, a pattern, or a data set, of which the test part counts and gives AUROCs too.
    `tolerance`: how far scores and values of maps may be apart, as a share of 1 + their size; None: 0.01, int8 any.
    `differing`: the share of the verdicts that may differ.
    Both run in float32 on the CPU with torch's number of threads. Where an image is resized, a few bytes in 100,000
    round the other way, and values of a map follow them: maps are compared on images that were resized beforehand,
    all else on the images as they are.
    Raises InputError for a file that was exported from another model.
    """
    detector, exported = Detector.load(run, device="cpu"), Exported(model, threads=torch.get_num_threads())
    if exported.facts["dssm.sha256"] != files.read_json(Path(run, FACTS))["sha256"]:
        raise InputError(f"{model} was exported from another model than the one in {run}: export it again")
    detector.settings = detector.settings.replace(precision="float32")
    samples = _samples(images, detector)
    ours, theirs = Side(lambda image: detector.predict(_tensor(image))[0]), Side(exported)
    marked = any(sample.mask is not None for sample in samples)
    threshold = detector.thresholds["image"]
    score = heat = pixels = np.float64(0)
    verdicts = 0
    for sample in tqdm(samples, desc="verify", unit="image", disable=not progress):
        image = np.asarray(read(sample.path))
        a, b = ours.score(image), theirs.score(image)
        # NumPy's maximum, unlike Python's, keeps what is not a number.
        score = np.maximum(score, _difference(a.score, b.score))
        heat = np.maximum(heat, _difference(a.map, exported(_resized(image, detector.size)).map))
        verdicts += a.anomalous != b.anomalous and _difference(threshold, a.score) > ROUNDING
        pixels += np.mean(a.mask != b.mask) / len(samples)
        if marked and sample.has_truth:
            truth = load_masks([sample], a.map.shape)
            ours.pixels.update(a.map[None], truth)
            theirs.pixels.update(b.map[None], truth)
    bad = [not sample.good for sample in samples]
    return Parity(
        images=len(samples),
        score=float(score),
        map=float(heat),
        verdicts=verdicts,
        pixels=float(pixels),
        tolerance=TOLERANCES[exported.facts["dssm.precision"]] if tolerance is None else tolerance,
        differing=differing,
        milliseconds=(ours.milliseconds, theirs.milliseconds),
        threads=torch.get_num_threads(),
        image_auroc=(auroc(ours.scores, bad), auroc(theirs.scores, bad)) if 0 < sum(bad) < len(bad) else None,
        pixel_auroc=(ours.pixel_auroc(), theirs.pixel_auroc()) if marked else None,
    )


def _samples(images: str | Path, detector: Detector) -> list[Sample]:
    """The test part of a data set, or else all images that are meant; of unknown kind, so counted as good."""
    if Path(images).is_dir() or str(images) == elpv.LAYOUT:
        test = detector.collection(images).test
        if test:
            return list(test)
    return [Sample(path) for path in find_images(images)]


def _resized(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """An image (h, w, 3) as the network sees it."""
    return image if size is None else resize(Image.fromarray(image), size).transpose(1, 2, 0)


def _tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)[None]


def _difference(a: np.ndarray | float, b: np.ndarray | float) -> float:
    return float(np.max(np.abs(np.subtract(a, b)) / (1 + np.abs(a))))
