# SPDX-License-Identifier: Apache-2.0
"""The detector: fit on good images, then score, evaluate, save and load."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

import dssm
from dssm import bundle, files, methods
from dssm.card import model_card
from dssm.data import (
    Collection,
    Sample,
    discover,
    find_images,
    fit_ratio,
    fit_size,
    load_images,
    load_masks,
    load_textures,
    resize,
    resolve,
)
from dssm.errors import InputError
from dssm.files import CARD, FACTS, TENSORS
from dssm.methods import Method
from dssm.metrics import evaluate_scores
from dssm.scores import choose_thresholds
from dssm.settings import Settings, preset
from dssm.training import train
from dssm.training.precision import autocast, uses_bfloat16

LEAST_IMAGES = 10  # good images below which neither a Gaussian nor a threshold means anything
BATCH = 16  # images at a time where nobody says otherwise

Paths = str | os.PathLike | Sequence[str | os.PathLike]


@dataclass(frozen=True)
class Prediction:
    """What the detector says of one image; larger scores are more anomalous."""

    path: Path | None
    score: float
    anomalous: bool  # score above the image threshold
    map: np.ndarray  # (H, W) float32 at the size the network sees
    mask: np.ndarray  # (H, W) bool: map above the pixel threshold


@dataclass(frozen=True)
class Evaluation:
    """Metrics of a test set (JSON-ready, see `dssm.metrics.evaluate_scores`) and the predictions behind them."""

    metrics: dict[str, Any]
    samples: tuple[Sample, ...]
    predictions: list[Prediction]
    masks: Sequence[Tensor | None] | None  # truth (H, W) bool at the size of the maps, None where nobody marked it


class Detector:
    """Finds defects after training on good images only.

    >>> detector = Detector("quick").fit("parts/good")          # doctest: +SKIP
    >>> detector.predict("parts/new")[0].score                  # doctest: +SKIP

    `settings` is a preset's name or a `Settings`; `device` None takes a GPU if there is one.
    """

    def __init__(self, settings: Settings | str = "quick", *, device: str | torch.device | None = None) -> None:
        self.settings = preset(settings) if isinstance(settings, str) else settings
        self.device = _device(device)
        self.method: Method | None = None
        self._scoring: Method | None = None  # its copy that is made for scoring
        self.size: tuple[int, int] | None = self.settings.size
        self.thresholds: dict[str, float] = {}
        self.data: dict[str, Any] = {}

    def fit(
        self,
        data: Paths | Collection | Tensor,
        *,
        protocol: str | None = None,
        folder: str | Path | None = None,
        resume: bool = False,
        progress: bool = True,
    ) -> Detector:
        """Train on good images, fit the Gaussians, and choose thresholds on images held out from both.

        data: a folder or `elpv` (see `dssm.data.discover`), a Collection, paths, or a tensor (N, 3, H, W) uint8.
        folder: receives the log and the checkpoints; with `resume`, training goes on from the last checkpoint there.
        Raises InputError for data that cannot be used, `dssm.training.Interrupted` on Ctrl-C.
        """
        held_out, training = self.hold_out(self._training_images(data, protocol, progress))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self.method = method = methods.build(self.settings)
        method.load_weights()
        method.progress = progress
        method.network.to(self.device).eval()
        with self._inference():
            method.prepare(self._batches(training))
        if method.trains:
            textures = load_textures(self.settings.textures, self._size(), progress="textures" if progress else None)
            train(
                method,
                training.to(self.device),
                textures.to(self.device),
                folder=Path(folder) if folder else None,
                resume=resume,
                progress=progress,
            )
        with self._inference():
            method.fit(self._batches(training, "fit" if progress else None))
            method.calibrate(self._batches(held_out))
        self._prepare_scoring(method)
        self.thresholds = choose_thresholds(self._scored(held_out), self.settings.false_reject)
        return self

    def predict(self, images: Paths | Tensor, *, batch: int = BATCH, progress: bool = False) -> list[Prediction]:
        """Score images: a file, a folder, a glob pattern, paths, or a tensor (N, 3, h, w) uint8 or floating in 0..255.

        They pass through the network `batch` at a time. Many threads may call this at once, on one detector.
        Raises InputError for what cannot be read and for values that are not finite.
        """
        return list(self.stream(images, batch=batch, progress=progress))

    def stream(self, images: Paths | Tensor, *, batch: int = BATCH, progress: bool = False) -> Iterator[Prediction]:
        """`predict`, one image after the other, with the memory of one batch."""
        if not self.thresholds:
            raise InputError("the detector is not trained: call fit or load first")
        if isinstance(images, Tensor):
            _check_images(images)
        source = images if isinstance(images, Tensor) else _paths(images)
        with tqdm(total=len(source), desc="predict", unit="image", disable=not progress) as bar:
            for start in range(0, len(source), batch):
                part = source[start : start + batch]
                pixels = self._tensor(part) if isinstance(part, Tensor) else load_images(part, self._size())
                for score, maps in self._scored(pixels, batch):
                    for i, (value, heat) in enumerate(zip(score.tolist(), maps.numpy(), strict=True)):
                        yield Prediction(
                            path=None if isinstance(part, Tensor) else part[i],
                            score=value,
                            anomalous=value > self.thresholds["image"],
                            map=heat,
                            mask=heat > self.thresholds["pixel"],
                        )
                        bar.update()

    def evaluate(
        self, data: str | os.PathLike | Collection, *, protocol: str | None = None, progress: bool = True
    ) -> Evaluation:
        """Metrics over the test images of a data set (see `dssm.data.discover`) or a Collection.

        `protocol` is by default the one that the model was trained under. Raises InputError for another one: its test
        images may have been trained on.
        """
        collection = self.collection(data, protocol)
        if not collection.test:
            raise InputError(f"{collection.name} has no test images; `dssm predict` scores images without truth")
        predictions = self.predict([sample.path for sample in collection.test], progress=progress)
        masks = self._truth(collection.test) if collection.has_masks else None
        metrics = evaluate_scores(
            [prediction.score for prediction in predictions],
            [sample.kind for sample in collection.test],
            [prediction.map for prediction in predictions] if masks is not None else None,
            masks,
        )
        return Evaluation(metrics, collection.test, predictions, masks)

    def save(self, folder: str | Path) -> None:
        """Write the bundle: model.safetensors and model.json; and model_card.md for people."""
        if self.method is None or not self.thresholds:
            raise InputError("there is nothing to save: call fit first")
        facts = {
            "dssm": dssm.__version__,
            "torch": torch.__version__,
            "settings": self.settings.as_dict(),
            "size": list(self._size()),
            "thresholds": self.thresholds,
            "data": self.data,
        }
        files.write_text(Path(folder, CARD), model_card(facts))
        bundle.write(folder, self.method.state(), facts)

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device | None = None) -> Detector:
        """Read a bundle. Raises InputError naming the file when something is missing, foreign or broken."""
        values, facts = bundle.read(folder)
        place = str(Path(folder, FACTS))
        bundle.check_keys(facts["settings"], Settings().as_dict(), place, "setting")
        bundle.check_keys(facts["thresholds"], ("image", "pixel", "typical"), place, "threshold")
        detector = cls(Settings.from_dict(facts["settings"]), device=device)
        detector.size = detector.settings.replace(size=facts["size"]).size  # checked as the setting is
        detector.thresholds, detector.data = facts["thresholds"], facts["data"]
        detector.method = methods.build(detector.settings)
        detector.method.load_state(values, str(Path(folder, TENSORS)), detector.device)
        detector._prepare_scoring(detector.method)
        return detector

    def collection(self, data: str | os.PathLike | Collection, protocol: str | None = None) -> Collection:
        """A data set, split as it was for training. Raises InputError when another protocol is asked for."""
        collection = data if isinstance(data, Collection) else self._discover(data, protocol)
        trained = self.data.get("protocol")
        if trained and collection.protocol not in (None, trained):
            if protocol is not None or isinstance(data, Collection):
                raise InputError(
                    f"the model was trained under protocol {trained!r}, not to be tested under {collection.protocol!r}"
                )
            collection = self._discover(data, trained)
        return collection

    def _discover(self, data: str | os.PathLike, protocol: str | None) -> Collection:
        return discover(os.fspath(data), protocol=protocol, seed=self.settings.seed)

    def _training_images(self, data: Paths | Collection | Tensor, protocol: str | None, progress: bool) -> Tensor:
        """All good images at the size the network sees; remembers where they came from."""
        self.size, self.data = self.settings.size, {}
        if isinstance(data, Tensor):
            _check_images(data)
            self.data = {"name": "tensor", "images": len(data)}
            self._check_count()
            self.size = self.size or fit_ratio(data.shape[-1] / data.shape[-2], self.settings.pixels)
            return self._tensor(data)
        if isinstance(data, (str, os.PathLike)):
            collection = self._discover(data, protocol)
            self.data = {"path": resolve(os.fspath(data))}
        elif isinstance(data, Collection):
            collection = data
        else:
            collection = Collection("paths", "paths", tuple(Sample(Path(path)) for path in data))
        self.data |= {"name": collection.name, "layout": collection.layout, "protocol": collection.protocol}
        self.data |= {"images": len(collection.train)}
        self._check_count()
        paths = [sample.path for sample in collection.train]
        self.size = self.size or fit_size(paths, self.settings.pixels)
        return load_images(paths, self.size, progress="images" if progress else None)

    def _check_count(self) -> None:
        count, name = self.data["images"], self.data.get("path") or self.data["name"]
        if count < LEAST_IMAGES:
            raise InputError(f"{name}: {count} good images are too few; give at least {LEAST_IMAGES}")

    def _truth(self, samples: Sequence[Sample]) -> Sequence[Tensor | None]:
        known = [sample for sample in samples if sample.has_truth]
        masks = iter(load_masks(known, self._size()))
        return [next(masks) if sample.has_truth else None for sample in samples]

    def hold_out(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(held out, training): a random share of the images, at least two, for the thresholds."""
        generator = torch.Generator().manual_seed(self.settings.seed)
        order = torch.randperm(len(images), generator=generator)
        count = max(2, round(self.settings.holdout * len(images)))
        return images[order[:count].sort().values], images[order[count:].sort().values]

    def _tensor(self, images: Tensor) -> Tensor:
        """uint8 at the size the network sees."""
        if images.dtype != torch.uint8:
            if not torch.isfinite(images).all():
                raise InputError("images hold NaN or infinite values")
            images = images.float().clamp(0, 255).round().to(torch.uint8)
        if tuple(images.shape[2:]) == self._size():
            return images
        resized = torch.empty(len(images), 3, *self._size(), dtype=torch.uint8)
        for i, pixels in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
            resized.numpy()[i] = resize(Image.fromarray(pixels), self._size())
        return resized

    def _batches(self, images: Tensor, label: str | None = None, size: int = BATCH) -> Iterator[Tensor]:
        starts: Iterable[int] = range(0, len(images), size)
        for start in tqdm(starts, desc=label, disable=label is None):
            yield images[start : start + size].to(self.device)

    def _scored(self, images: Tensor, size: int = BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Scores and maps on the CPU, a batch at a time."""
        assert self._scoring is not None
        for batch in self._batches(images, size=size):
            with self._inference():
                scores, maps = self._scoring.score(batch)
            yield scores.float().cpu(), maps.float().cpu()

    def _prepare_scoring(self, method: Method) -> None:
        half = uses_bfloat16(self.device, self.settings.precision)
        self._scoring = method.for_scoring(torch.bfloat16 if half else torch.float32)

    def _inference(self) -> torch.autocast:
        return autocast(self.device, self.settings.precision)

    def _size(self) -> tuple[int, int]:
        assert self.size is not None
        return self.size


def _device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        chosen = torch.device("meta")  # refused below
    if chosen.type not in ("cpu", "cuda"):
        raise InputError(f"device {str(device)!r} cannot be used; give cpu, cuda or cuda:1")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise InputError(f"device {str(device)!r} cannot be used: torch {torch.__version__} sees {count} CUDA devices")
    return chosen


def _check_images(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape[2:]:
        raise InputError(f"images must be (N, 3, H, W), not {tuple(images.shape)}")
    if images.dtype != torch.uint8 and not images.is_floating_point():
        raise InputError(f"images must be uint8 or floating in 0..255, not {images.dtype}")


def _paths(images: Paths) -> list[Path]:
    if isinstance(images, (str, os.PathLike)):
        return find_images(os.fspath(images))
    return [Path(path) for path in images]
