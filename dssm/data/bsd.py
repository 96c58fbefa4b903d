# SPDX-License-Identifier: Apache-2.0
"""A clone of BSData, the ball screw drives of Schlagenhauf et al.: data/*.jpg, and label/*.json for the defective."""

from __future__ import annotations

import re
from pathlib import Path

from dssm.data.image import read_size
from dssm.data.listing import entries, images_in
from dssm.data.sample import GOOD, Collection, Sample, draw
from dssm.errors import InputError

LAYOUT = "bsd"
PROTOCOLS = ("paper", "strict")
KIND = "pitting"

TRAIN_SHARE = 631 / 710  # the paper trains on 631 of the 710 normal images
SPINDLE_SIZE = (1130, 460)  # width and height of the images that one camera took of one spindle
FOLDS = 3
# A name is CYCLE_TIME_POSITION_ANGLE_crop_N; position and angle say which spot of the spindle it shows.
SPOT = re.compile(r"\d+_\d+_(?P<spot>\d+_\d+)_crop_\d+")


def matches(path: Path) -> bool:
    return (path / "data").is_dir() and (path / "label").is_dir()


def read(path: Path, protocol: str | None, seed: int) -> Collection:
    """Read the images; one is defective if and only if it has a label file (labelme polygons).

    Protocol `paper` (the default): 631 of the 710 normal images, drawn by `seed`, are trained on (the same share of
    another number of them); the rest and all defective images are the test.
    Protocol `strict`: only the 1130x460 images, so that no image stands out by its camera; the spots of the spindle
    are dealt into three folds, and fold `seed` mod 3 is tested, so that no spot is in both training and test.
    """
    samples = _samples(path)
    if protocol == "strict":
        train, test = _strict(samples, seed % FOLDS)
    else:
        normal = [sample for sample in samples if sample.good]
        train, rest = draw(normal, round(TRAIN_SHARE * len(normal)), seed)
        test = sorted(rest + [sample for sample in samples if not sample.good], key=lambda sample: sample.path)
    if not train:
        raise InputError(f"{path / 'data'} holds no normal image to train on under protocol {protocol or 'paper'!r}")
    return Collection(path.resolve().name, LAYOUT, tuple(train), tuple(test), protocol or "paper")


def _samples(path: Path) -> list[Sample]:
    images = images_in(path / "data")
    labels = {label.stem: label for label in entries(path / "label") if label.suffix.lower() == ".json"}
    if not labels:
        raise InputError(f"{path / 'label'} holds no labelme .json files, so no image of {path} counts as defective")
    stray = labels.keys() - {image.stem for image in images}
    if stray:
        raise InputError(f"{labels[min(stray)]} has no image in {path / 'data'}; add the image or remove the label")
    return [Sample(image, KIND if image.stem in labels else GOOD, labels.get(image.stem)) for image in images]


def _strict(samples: list[Sample], fold: int) -> tuple[list[Sample], list[Sample]]:
    samples = [sample for sample in samples if read_size(sample.path) == SPINDLE_SIZE]
    spots = [_spot(sample.path) for sample in samples]
    tested = set(sorted(set(spots))[fold::FOLDS])
    train = [sample for sample, spot in zip(samples, spots, strict=True) if spot not in tested and sample.good]
    test = [sample for sample, spot in zip(samples, spots, strict=True) if spot in tested]
    return train, test


def _spot(path: Path) -> str:
    match = SPOT.fullmatch(path.stem)
    if match is None:
        raise InputError(f"{path} is not named CYCLE_TIME_POSITION_ANGLE_crop_N, which protocol 'strict' needs")
    return match["spot"]
