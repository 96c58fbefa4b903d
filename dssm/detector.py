# SPDX-License-Identifier: Apache-2.0
"""The detector: fit on good images, then score, evaluate, save and load."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

import dssm
from dssm import bundle, files, methods, picture, tiles
from dssm.card import model_card
from dssm.data import (
    Collection,
    Sample,
    discover,
    find_images,
    fit_ratio,
    fit_size,
    load_images,
    load_textures,
    load_tiles,
    read_size,
    resize,
    resolve,
)
from dssm.errors import InputError
from dssm.evaluation import Evaluation, Predictions, Truth
from dssm.files import CARD, FACTS, SAMPLES, TENSORS
from dssm.methods import Method
from dssm.metrics import PixelMetrics, summarize
from dssm.scores import FalseReject, GoodScores, normalise
from dssm.scores.threshold import KINDS
from dssm.scratch import Spool
from dssm.settings import DEFAULT, Settings, preset
from dssm.tiles import Tiles
from dssm.training import train
from dssm.training.precision import autocast, uses_bfloat16
from dssm.training.samples import sample_sheet

LEAST_IMAGES = 10  # good images below which neither a Gaussian nor a threshold means anything
BATCH = 16  # images at a time where nobody says otherwise

Paths = str | os.PathLike | Sequence[str | os.PathLike]


@dataclass(frozen=True)
class Prediction:
    """What the detector says of one image; larger scores are more anomalous."""

    path: Path | None
    score: float
    anomalous: bool  # score above the image threshold
    map: np.ndarray  # (H, W) float32 at the size that images are resized to
    mask: np.ndarray  # (H, W) bool: map above the pixel threshold
    thresholds: Mapping[str, float]  # those that decided, and what is typical of good images

    @property
    def normalised(self) -> float:
        """The score from 0 to 1, the threshold at 0.5 (see `dssm.scores.normalise`)."""
        return normalise(self.score, self.thresholds["image"], self.thresholds["typical_image"])

    @property
    def normalised_map(self) -> np.ndarray:
        """The map from 0 to 1, the pixel threshold at 0.5: (H, W) float32."""
        return normalise(self.map, self.thresholds["pixel"], self.thresholds["typical_pixel"])


class Detector:
    """Finds defects after training on good images only.

    >>> detector = Detector().fit("parts/good")  # doctest: +SKIP
    >>> detector.predict("parts/new")[0].score   # doctest: +SKIP

    `settings` is a preset's name or a `Settings`; `device` None takes a GPU if there is one.
    """

    def __init__(self, settings: Settings | str = DEFAULT, *, device: str | torch.device | None = None) -> None:
        self.settings = preset(settings) if isinstance(settings, str) else settings
        self.device = _device(device)
        self.method: Method | None = None
        self._scoring: Method | None = None  # its copy that is made for scoring
        # What images are resized to; None: it depends on those of the training, or images keep their own size.
        self.size = _fixed(self.settings)
        self.thresholds: dict[str, float] = {}  # of images and pixels, and what is typical of good ones
        self.good: GoodScores | None = None  # what they were chosen from
        self.by_hand: tuple[str, ...] = ()  # which of them were not
        self.data: dict[str, Any] = {}

    def fit(
        self,
        data: Paths | Collection | Tensor,
        *,
        protocol: str | None = None,
        folder: str | Path | None = None,
        resume: bool = False,
        on_epoch: Callable[[dict[str, Any]], None] | None = None,
        progress: bool = True,
    ) -> Detector:
        """Train on good images, fit the Gaussians, and choose thresholds on images held out from both.

        data: a folder or `elpv` (see `dssm.data.discover`), a Collection, paths, or a tensor (N, 3, H, W) uint8.
        folder: receives the log, the checkpoints and a picture of what training pastes into images; with `resume`,
        training goes on from the last checkpoint there. on_epoch: gets every row of the log as it is written.
        Raises InputError for data that cannot be used, `dssm.training.Interrupted` on Ctrl-C.
        """
        images = self._training_images(data, protocol)
        unseen, seen = (_chosen(images, index) for index in self.hold_out(torch.arange(len(images))))
        held_out = Spool(batch.cpu().numpy() for batch in self._read(unseen))  # a broken image shows before training
        training = self._samples(seen, "images" if progress else None)
        if self.tiles is not None:
            self.data["tiles"] = len(training)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self.method = method = methods.build(self.settings)
        method.load_weights()
        method.progress = progress
        method.network.to(self.device).eval()
        with self._inference():
            method.prepare(self._batches(training))
        if method.trains:
            textures = load_textures(self.settings.textures, self.input_size, progress="textures" if progress else None)
            if folder and (sheet := sample_sheet(method, training, textures)):
                picture.save(sheet, Path(folder, SAMPLES))
            train(
                method,
                training.to(self.device),
                textures.to(self.device),
                folder=Path(folder) if folder else None,
                resume=resume,
                progress=progress,
                on_epoch=on_epoch,
            )
        with self._inference():
            method.fit(self._batches(training, "fit" if progress else None))
            method.calibrate(self._inputs(map(torch.from_numpy, held_out)))
        self._prepare_scoring(method)
        self._choose(GoodScores.collect(self._scored(map(torch.from_numpy, held_out))))
        return self

    def choose_thresholds(
        self,
        *,
        false_reject: float | None = None,
        pixel_false_reject: float | None = None,
        image: float | None = None,
        pixel: float | None = None,
        good: Paths | Tensor | None = None,
        progress: bool = False,
    ) -> dict[str, FalseReject]:
        """Choose the thresholds again, without training; returns what is known of them, as `false_rejects` does.

        false_reject: the share of good images that each may reject; of pixels `pixel_false_reject`, if it is given.
        image, pixel: thresholds by hand. good: good images that training has not seen, in the place of those that
        were held out from it. What nothing is said of stays as it was.
        Raises InputError for shares outside (0, 1), values that are not finite, and a share and a value for one thing.
        """
        if self.good is None:
            raise InputError("the detector is not trained: call fit or load first")
        if (image is not None and false_reject is not None) or (pixel is not None and pixel_false_reject is not None):
            raise InputError("a threshold is chosen by a false-reject rate or set by hand: give one of them")
        by_hand = {name: value for name, value in (("image", image), ("pixel", pixel)) if value is not None}
        for name, value in by_hand.items():
            if not math.isfinite(value):
                raise InputError(f"the threshold {name} must be finite, not {value}")
        settings, kept = self.settings, {name: self.thresholds[name] for name in self.by_hand}
        if false_reject is not None:
            settings, kept = settings.replace(false_reject=false_reject, pixel_false_reject=pixel_false_reject), {}
        elif pixel_false_reject is not None:
            settings = settings.replace(pixel_false_reject=pixel_false_reject)
            kept.pop("pixel", None)
        scores = self.good
        if good is not None:
            if not isinstance(good, Tensor):
                self._check_unseen(_paths(good))
            found = self.stream(good, progress=progress)
            scores = GoodScores.collect((torch.tensor([p.score]), torch.from_numpy(p.map)[None]) for p in found)
        self.settings = settings
        self._choose(scores, kept | by_hand)
        return self.false_rejects()

    def false_rejects(self) -> dict[str, FalseReject]:
        """What the good images say of the true false-reject rates of the thresholds `image` and `pixel`.

        The rates hold for images like those. The scale of a fused map and of a fused score comes from the same images;
        that these few numbers were fitted to them is not counted.
        """
        if self.good is None:
            raise InputError("the detector is not trained: call fit or load first")
        return self.good.judge(self.thresholds, self.settings.false_rejects, self.by_hand)

    def _choose(self, good: GoodScores, by_hand: dict[str, float] | None = None) -> None:
        """Thresholds by the settings but for those set by hand."""
        by_hand = by_hand or {}
        self.good, self.by_hand = good, tuple(by_hand)
        self.thresholds = good.thresholds(self.settings.false_rejects) | by_hand | good.typical

    def predict(self, images: Paths | Tensor, *, batch: int = BATCH, progress: bool = False) -> list[Prediction]:
        """Score images: a file, a folder, a glob pattern, paths, or a tensor (N, 3, h, w) uint8 or floating in 0..255.

        They pass through the network `batch` at a time. Many threads may call this at once, on one detector.
        Raises InputError for what cannot be read and for values that are not finite.
        """
        return list(self.stream(images, batch=batch, progress=progress))

    def stream(
        self, images: Paths | Tensor, *, batch: int = BATCH, progress: bool = False
    ) -> Generator[Prediction, None, None]:
        """`predict`, one image after the other, with the memory of one batch; of one image, where there are tiles."""
        if not self.thresholds:
            raise InputError("the detector is not trained: call fit or load first")
        if isinstance(images, Tensor):
            _check_images(images)
        source = images if isinstance(images, Tensor) else _paths(images)
        thresholds = self.thresholds  # those of now, should another thread choose anew
        with tqdm(total=len(source), desc="predict", unit="image", disable=not progress) as bar:
            place = iter([None] * len(source) if isinstance(source, Tensor) else source)
            for scores, maps in self._scored(self._read(source, batch), batch):
                for value, heat in zip(scores.tolist(), maps.numpy(), strict=True):
                    yield Prediction(
                        path=next(place),
                        score=value,
                        anomalous=value > thresholds["image"],
                        map=heat,
                        mask=heat > thresholds["pixel"],
                        thresholds=thresholds,
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
        predictions, scores, verdicts = Predictions(), [], []
        masks = Truth(collection.test, self.size) if collection.has_masks else None
        pixels: dict[str, PixelMetrics] = defaultdict(PixelMetrics)
        # Closed also where a mask is refused, so that the bar ends before the message begins.
        with closing(self.stream([sample.path for sample in collection.test], progress=progress)) as stream:
            for i, (sample, prediction) in enumerate(zip(collection.test, stream, strict=True)):
                predictions.append(prediction)
                scores.append(prediction.score)
                verdicts.append(prediction.anomalous)
                truth = None if masks is None else masks[i]
                if truth is not None:
                    pixels[sample.kind].update(prediction.map[None], truth[None])
        metrics = summarize(scores, [sample.kind for sample in collection.test], None if masks is None else pixels)
        metrics |= self._verdicts(collection.test, verdicts, metrics["f1_threshold"])
        return Evaluation(metrics, collection.test, predictions, masks)

    def save(self, folder: str | Path) -> None:
        """Write the bundle: model.safetensors and model.json; and model_card.md for people."""
        if self.method is None or self.good is None:
            raise InputError("there is nothing to save: call fit first")
        facts = {
            "dssm": dssm.__version__,
            "torch": torch.__version__,
            "size": list(self.size) if self.size else "native",
            **self.decisions(),
            "data": self.data,
        }
        files.write_text(Path(folder, CARD), model_card(facts))
        bundle.write(folder, self.method.state(), facts)

    def decisions(self) -> dict[str, Any]:
        """The part of a bundle's facts that `choose_thresholds` changes."""
        assert self.good is not None
        return {
            "settings": self.settings.as_dict(),
            "thresholds": {kind: self.thresholds[kind] for kind in KINDS},
            "by_hand": list(self.by_hand),
            "good": asdict(self.good),
        }

    @classmethod
    def load(cls, folder: str | Path, *, device: str | torch.device | None = None) -> Detector:
        """Read a bundle. Raises InputError naming the file when something is missing, foreign or broken."""
        values, facts = bundle.read(folder)
        place = str(Path(folder, FACTS))
        bundle.check_keys(facts["settings"], Settings().as_dict(), place, "setting")
        bundle.check_keys(facts["thresholds"], KINDS, place, "threshold")
        bundle.check_keys(facts["good"], GoodScores.__dataclass_fields__, place, "scores of good images")
        detector = cls(Settings.from_dict(facts["settings"]), device=device)
        detector.size = _fixed(detector.settings.replace(size=facts["size"]))  # checked as the setting is
        detector.good, detector.by_hand = GoodScores(**facts["good"]), tuple(facts["by_hand"])
        detector.thresholds, detector.data = facts["thresholds"] | detector.good.typical, facts["data"]
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

    @property
    def tiles(self) -> Tiles | None:
        """How images are cut, if they are; a tile is never larger than what all images are resized to."""
        tile = self.settings.tile
        if tile is None:
            return None
        height, width = self.size or tile
        return Tiles((min(tile[0], height), min(tile[1], width)), self.settings.overlap)

    @property
    def input_size(self) -> tuple[int, int]:
        """Height and width of what the network sees: of a tile, or of the whole image."""
        if self.tiles is not None:
            return self.tiles.size
        assert self.size is not None
        return self.size

    def _training_images(self, data: Paths | Collection | Tensor, protocol: str | None) -> Tensor | list[Path]:
        """All good images; remembers where they came from, and chooses the size that they are resized to."""
        self.size, self.data = _fixed(self.settings), {}
        if isinstance(data, Tensor):
            _check_images(data)
            self.data = {"name": "tensor", "images": len(data)}
            self._check_count()
            if self.settings.size is None:
                self.size = fit_ratio(data.shape[-1] / data.shape[-2], self.settings.pixels)
            return data
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
        if self.settings.size is None:
            self.size = fit_size(paths, self.settings.pixels)
        return paths

    def _verdicts(
        self, samples: Sequence[Sample], anomalous: Sequence[bool], best: float | None
    ) -> dict[str, float | None]:
        """What the image threshold decides of a test set, and where on the scale from 0 to 1 F1 would be highest."""
        good, bad = (
            [verdict for sample, verdict in zip(samples, anomalous, strict=True) if sample.good == wanted]
            for wanted in (True, False)
        )
        threshold, typical = self.thresholds["image"], self.thresholds["typical_image"]
        return {
            "image_threshold": threshold,
            "good_rejected": sum(good) / len(good) if good else None,
            "defects_found": sum(bad) / len(bad) if bad else None,
            "f1_threshold_normalised": None if best is None else normalise(best, threshold, typical),
        }

    def _check_unseen(self, images: Sequence[Path]) -> None:
        """Raise InputError for an image that the model was trained on, as far as anybody can tell."""
        place = self.data.get("path")
        if place is None or not Path(place).exists():
            return
        seen = {sample.path.resolve() for sample in self.collection(place).train}
        for image in images:
            if image.resolve() in seen:
                raise InputError(
                    f"{image} is one of the images that the model was trained on; give good images that are not"
                )

    def _check_count(self) -> None:
        count, name = self.data["images"], self.data.get("path") or self.data["name"]
        if count < LEAST_IMAGES:
            raise InputError(f"{name}: {count} good images are too few; give at least {LEAST_IMAGES}")

    def hold_out(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(held out, training): a random share of the images, at least two, for the thresholds."""
        generator = torch.Generator().manual_seed(self.settings.seed)
        order = torch.randperm(len(images), generator=generator)
        count = max(2, round(self.settings.holdout * len(images)))
        return images[order[:count].sort().values], images[order[count:].sort().values]

    def _read(self, images: Tensor | Sequence[Path], batch: int = BATCH) -> Iterator[Tensor]:
        """Images (B, 3, H, W) uint8 in batches; one by one where there are tiles."""
        step = batch if self.tiles is None else 1
        for start in range(0, len(images), step):
            part = images[start : start + step]
            if isinstance(part, Tensor):
                yield self._tensor(part)
            else:
                yield load_images(part, self.size or read_size(part[0])[::-1])

    def _samples(self, images: Tensor | list[Path], label: str | None) -> Tensor:
        """All that the network sees of images, uint8 (N, 3, h, w)."""
        if isinstance(images, Tensor):
            whole = self._tensor(images)
            return whole if self.tiles is None else self.tiles.cut(whole)
        if self.tiles is None:
            return load_images(images, self.input_size, progress=label)
        return load_tiles(images, self.size, self.tiles, progress=label)

    def _inputs(self, images: Iterable[Tensor]) -> Iterator[Tensor]:
        """What the network sees of images, batch by batch."""
        for batch in images:
            yield from self._batches(batch if self.tiles is None else self.tiles.cut(batch))

    def _tensor(self, images: Tensor) -> Tensor:
        """uint8, resized as files are."""
        if images.dtype != torch.uint8:
            if not torch.isfinite(images).all():
                raise InputError("images hold NaN or infinite values")
            images = images.float().clamp(0, 255).round().to(torch.uint8)
        if self.size in (None, tuple(images.shape[2:])):
            return images
        assert self.size is not None
        resized = torch.empty(len(images), 3, *self.size, dtype=torch.uint8)
        for i, pixels in enumerate(images.permute(0, 2, 3, 1).cpu().numpy()):
            resized.numpy()[i] = resize(Image.fromarray(pixels), self.size)
        return resized

    def _batches(self, images: Tensor, label: str | None = None) -> Iterator[Tensor]:
        starts: Iterable[int] = range(0, len(images), BATCH)
        for start in tqdm(starts, desc=label, disable=label is None):
            yield images[start : start + BATCH].to(self.device)

    def _scored(self, images: Iterable[Tensor], at_once: int = BATCH) -> Iterator[tuple[Tensor, Tensor]]:
        """Scores and maps of batches of images, on the CPU; the network sees at most so many tiles at once."""
        assert self._scoring is not None
        for batch in images:
            with self._inference():
                scores, maps = tiles.score(self._scoring, batch.to(self.device), self.tiles, at_once=at_once)
            yield scores.float().cpu(), maps.float().cpu()

    def _prepare_scoring(self, method: Method) -> None:
        half = uses_bfloat16(self.device, self.settings.precision)
        self._scoring = method.for_scoring(torch.bfloat16 if half else torch.float32)

    def _inference(self) -> torch.autocast:
        return autocast(self.device, self.settings.precision)


def _chosen(images: Tensor | list[Path], index: Tensor) -> Tensor | list[Path]:
    return images[index.to(images.device)] if isinstance(images, Tensor) else [images[i] for i in index.tolist()]


def _fixed(settings: Settings) -> tuple[int, int] | None:
    """The one size of all images, if the settings name it."""
    return None if isinstance(settings.size, str) else settings.size


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
