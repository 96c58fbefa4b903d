# SPDX-License-Identifier: Apache-2.0
"""A run folder as one ONNX file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from torch import Tensor

import dssm
from dssm import files
from dssm.card import model_card
from dssm.data import load_images
from dssm.detector import Detector
from dssm.errors import InputError
from dssm.export.graph import complete, trace
from dssm.export.quantize import quantize
from dssm.export.session import FORMAT, open_session
from dssm.files import CARD, FACTS
from dssm.methods import Method
from dssm.scores import GoodScores

_LARGEST = 2**31  # bytes of a file of protocol buffers
_CALIBRATION = 64  # good images that the ranges of 8 bits are taken from


def export(run: str | Path, path: str | Path, *, int8: bool = False, data: str | Path | None = None) -> None:
    """Write the model in the folder `run` to `path`, an .onnx file, for `dssm.export.Exported` or any onnxruntime.

    Input `image` (height, width, 3) uint8 of any size; outputs `score` () float32, `anomalous` () bool, `map` (H, W)
    float32 and `mask` (H, W) bool, H and W the size that the network sees; `normalised` () and `normalised_map` (H, W)
    float32, score and map from 0 to 1 with the threshold at 0.5. The file's metadata holds the format, the
    version, the checksum of the model that it was made from, its thresholds, its settings and its model card.

    With `int8` convolutions run in 8 bits; their ranges come from the good images that the model was trained on, and
    the thresholds are chosen anew, on the images held out from training, unless they were set by hand. `data` says
    where the images are, if they moved.

    Raises InputError for a model that cannot be exported, and for other images than those of the training.
    """
    run, path = Path(run), Path(path)
    if path.suffix != ".onnx":
        raise InputError(f"{path}: the name of the model must end in .onnx")
    detector = Detector.load(run, device="cpu")
    assert detector.method is not None
    if detector.size is None:
        raise InputError(
            f"{run} takes images at their own size, and an ONNX model resizes them to one: train with --size "
            "HEIGHTxWIDTH instead of native"
        )
    _check_size(path, detector.method)
    good = _good_images(detector, run, data) if int8 else None
    core, thresholds = trace(detector.method, detector.size, detector.tiles), detector.thresholds
    if good is not None:
        held_out, training = good
        core = quantize(core, training[:: -(-len(training) // _CALIBRATION)])
        scores = GoodScores.collect(_scored(core, held_out))
        by_hand = {kind: thresholds[kind] for kind in detector.by_hand}
        thresholds = scores.thresholds(detector.settings.false_rejects) | by_hand | scores.typical
    precision = "int8" if int8 else "float32"
    metadata = {
        "dssm.format": FORMAT,
        "dssm.version": dssm.__version__,
        "dssm.precision": precision,
        "dssm.sha256": files.read_json(run / FACTS)["sha256"],
        "dssm.thresholds": json.dumps(thresholds),
        "dssm.settings": json.dumps(detector.settings.as_dict()),
        "dssm.card": _card(run, precision, thresholds),
    }
    model = complete(core, detector.size, thresholds, metadata)
    with files.atomic(path) as temporary:
        onnx.save(model, temporary)


def _check_size(path: Path, method: Method) -> None:
    size = sum(tensor.nbytes for tensor in method.state().values())
    if size >= _LARGEST:
        raise InputError(
            f"{path} would take {size / 2**30:.1f} GiB, and ONNX files end at 2 GiB; train "
            "with a smaller size or fewer map_channels"
        )


def _good_images(detector: Detector, run: Path, data: str | Path | None) -> tuple[Tensor, Tensor]:
    """(held out, training) as `Detector.fit` had them."""
    place = data or detector.data.get("path")
    if place is None:
        raise InputError(f"{run} does not say what it was trained on; give the good images, which 8 bits are fitted to")
    collection = detector.collection(place)
    if len(collection.train) != detector.data["images"]:
        raise InputError(
            f"{place} has {len(collection.train)} good images, but {run} was trained on {detector.data['images']}; "
            "8 bits are fitted to the images of the training"
        )
    assert detector.size is not None
    return detector.hold_out(load_images(collection.train, detector.size, progress="images"))


def _scored(core: onnx.ModelProto, images: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    session = open_session(core.SerializeToString())
    for image in images.split(1):
        score, heat = session.run(["score", "map"], {"images": image.numpy()})
        yield torch.tensor([float(score)]), torch.from_numpy(heat)[None]


def _card(run: Path, precision: str, thresholds: dict[str, float]) -> str:
    """The run's card, and what differs in this file."""
    card = run / CARD
    written = card.read_text(encoding="utf-8") if card.exists() else model_card(files.read_json(run / FACTS))
    return (
        f"{written}\n## This file\n\nONNX in {precision}; its thresholds are {thresholds['image']:.6g} for images and "
        f"{thresholds['pixel']:.6g} for pixels. What was measured above was measured before the export; `dssm verify` "
        "measures this file.\n"
    )
