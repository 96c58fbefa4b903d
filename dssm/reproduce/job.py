# SPDX-License-Identifier: Apache-2.0
"""One row of a table on one data set with one seed: trained, evaluated, and resumable at any moment."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

from dssm import files, picture
from dssm.detector import Detector
from dssm.errors import InputError
from dssm.files import CHECKPOINT, CONFIG, FACTS, LOG, TENSORS
from dssm.heatmaps import heatmap_sheet
from dssm.reproduce.budgets import Budget
from dssm.reproduce.datasets import DataSet
from dssm.reproduce.machine import machine, versions
from dssm.reproduce.results import Result, changes
from dssm.reproduce.systems import System
from dssm.settings import Settings

_FIT = "fit.json"  # the seconds that the fit took


@dataclass(frozen=True)
class Place:
    """Where data sets lie and run folders go, and what computes."""

    data: Path
    runs: Path
    device: str | None = None


@dataclass(frozen=True)
class Job:
    """A system under a budget, on a data set, with a seed."""

    system: System
    budget: Budget
    data: DataSet
    seed: int

    @property
    def settings(self) -> Settings:
        """Raises InputError where this version lacks the method or a setting of it."""
        return self.system.settings(self.budget, self.seed)

    def folder(self, runs: Path) -> Path:
        """Its run folder: the same for rows of the same settings, another one for others, so that none is mixed up."""
        settings = self.settings
        digest = hashlib.sha256(json.dumps(settings.as_dict()).encode()).hexdigest()[:8]
        return runs / f"{self.data.name}-{settings.method}-{self.seed}-{digest}"

    def is_trained(self, runs: Path) -> bool:
        """Whether its model lies in its run folder."""
        return (self.folder(runs) / FACTS).exists()

    def __str__(self) -> str:
        return f"{self.system.title}, {self.data.title}, seed {self.seed}"


def train(job: Job, place: Place) -> Detector:
    """The job's model, from its run folder if it lies there; a training that was stopped goes on.

    Raises InputError for data that cannot be used, `dssm.training.Interrupted` on Ctrl-C.
    """
    folder, data, settings = job.folder(place.runs), job.data.locate(place.data), job.settings
    if job.is_trained(place.runs):
        return Detector.load(folder, device=place.device)
    with _alone(folder):
        source = yaml.safe_dump({"data": str(data.resolve()), "protocol": job.data.protocol})
        files.write_text(folder / CONFIG, source + settings.as_yaml())
        detector = Detector(settings, device=place.device)
        began = time.perf_counter()
        detector.fit(data, protocol=job.data.protocol, folder=folder, resume=True)
        files.write_json(folder / _FIT, time.perf_counter() - began)
        detector.save(folder)
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return detector


def evaluate(job: Job, detector: Detector, place: Place) -> Result:
    """Measure the job's model on the test images; heatmaps.png in the run folder shows some of them."""
    folder = job.folder(place.runs)
    began = time.perf_counter()
    evaluation = detector.evaluate(job.data.locate(place.data), protocol=job.data.protocol)
    seconds = time.perf_counter() - began
    picture.save(heatmap_sheet(detector, evaluation), folder / "heatmaps.png")
    metrics = {name: value for name, value in evaluation.metrics.items() if name != "per_kind"}
    return Result(
        row=job.system.name,
        data=job.data.name,
        budget=job.budget.name,
        seed=job.seed,
        settings=changes(job.settings),
        size=list(detector.size or ()),
        images=detector.data["images"],
        metrics={name: None if value is None else round(value, 5) for name, value in metrics.items()},
        seconds={"training": round(_training_seconds(folder), 1), "evaluation": round(seconds, 1)},
        machine=machine(detector.device),
        versions=versions(),
        date=date.today().isoformat(),
    )


def drop_model(job: Job, runs: Path) -> None:
    """Remove the model, most of what a run takes on disk; its log, configuration and heat maps stay."""
    for name in (FACTS, TENSORS):
        (job.folder(runs) / name).unlink(missing_ok=True)


def _training_seconds(folder: Path) -> float:
    """Those of the log, which outlives a stop; of the fit where nothing was trained."""
    if not (folder / LOG).exists():
        return files.read_json(folder / _FIT)
    with (folder / LOG).open(newline="") as file:
        return sum(float(row["seconds"]) for row in csv.DictReader(file))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Raises InputError where another process trains in this run folder; a process that dies leaves no lock behind."""
    try:
        import fcntl
    except ImportError:  # Windows has no such locks
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another command trains in {folder}; wait for it, or give other --runs") from error
        yield
