# SPDX-License-Identifier: Apache-2.0
"""The solar cells of the package `elpv-dataset` (Buerhop-Lutz et al. 2018; Deitsch et al. 2019), 2624 of 300x300."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from dssm.data.listing import is_image
from dssm.data.sample import GOOD, Collection, Sample, draw
from dssm.errors import InputError

LAYOUT = "elpv"
PROTOCOLS: tuple[str, ...] = ()
TRAIN_SHARE = 0.8
KINDS = {"0.0": GOOD, "0.6666666666666666": "likely", "1.0": "certain"}
AMBIGUOUS = "0.3333333333333333"


def installed() -> Path:
    """Return the data folder of the installed package, without importing it; raises InputError without it."""
    spec = find_spec("elpv_dataset")
    if spec is None or spec.origin is None:
        raise InputError('the data set elpv needs the package elpv-dataset: pip install "dssm-surface[demo]"')
    return Path(spec.origin).parent / "data"


def matches(path: Path) -> bool:
    return (path / "labels.csv").is_file() and (path / "images").is_dir()


def read(path: Path, protocol: str | None, seed: int) -> Collection:  # noqa: ARG001
    """Read the cells by their probability of a defect: 0 is good, 2/3 `likely` and 1 `certain` are defective.

    The cells with probability 1/3 are left out: their annotators thought them good, but were unsure. 80 % of the good
    cells, drawn by `seed`, are for training; the rest and the defective ones are the test. There are no masks.
    """
    samples = _samples(path, path / "labels.csv")
    good = [sample for sample in samples if sample.good]
    train, rest = draw(good, round(TRAIN_SHARE * len(good)), seed)
    if not train:
        raise InputError(f"{path / 'labels.csv'} lists too few cells with defect probability 0 to train on")
    test = sorted(rest + [sample for sample in samples if not sample.good], key=lambda sample: sample.path)
    return Collection(LAYOUT, LAYOUT, tuple(train), tuple(test))


def _samples(path: Path, table: Path) -> list[Sample]:
    try:
        lines = table.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {table}: {error}") from error
    samples = []
    for number, line in enumerate(lines, start=1):
        # A row is: images/cell0001.png  1.0  mono
        image, probability, *_ = (*line.split(), "", "")
        if probability == AMBIGUOUS:
            continue
        if probability not in KINDS or not is_image(path / image):
            raise InputError(f"{table}, line {number}: expected image, defect probability and type, got {line!r}")
        samples.append(Sample(path / image, KINDS[probability]))
    return sorted(samples, key=lambda sample: sample.path)
