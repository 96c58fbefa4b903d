# SPDX-License-Identifier: Apache-2.0
"""All examinations of one data set, one after the other."""

from __future__ import annotations

import csv
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dssm
from dssm import files
from dssm.data import Collection, elpv
from dssm.doctor.amount import amount
from dssm.doctor.defect import smallest_defect
from dssm.doctor.duplicates import copies
from dssm.doctor.exposure import exposure
from dssm.doctor.finding import LEVELS, Finding, Mark, number
from dssm.doctor.listing import UNKNOWN, left_out, listed, masks, roles
from dssm.doctor.look import Look, look_at
from dssm.doctor.sizes import sizes, typical
from dssm.errors import InputError
from dssm.settings import DEFAULT, Settings, preset

COLUMNS = ("role", "width", "height", "mode", "bits", "brightness", "contrast", "red", "blue")


@dataclass(frozen=True)
class Examination:
    """What was found, worst first, and what was looked at."""

    root: Path
    collection: Collection
    looks: tuple[Look, ...]  # of the images that can be read
    findings: tuple[Finding, ...]

    @property
    def problems(self) -> int:
        """How many findings stop the training or spoil its figures."""
        return sum(finding.level == "problem" for finding in self.findings)

    @property
    def roles(self) -> dict[str, int]:
        """How many images are `train good`, `test good`, `test scratch` ..."""
        return roles(self.collection)

    def name(self, path: Path) -> str:
        """A file's name as seen from the data folder."""
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else str(path)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "dssm": dssm.__version__,
            "data": str(self.root),
            "layout": self.collection.layout,
            "images": self.roles,
            "findings": [finding.as_dict() for finding in self.findings],
        }

    def write_table(self, path: Path) -> None:
        """A line of csv per image: what it is taken for, what was measured, and what is odd about it."""
        odd: dict[Path, list[str]] = {}
        for finding in self.findings:
            for mark in finding.marks:
                odd.setdefault(mark.path, []).append(f"{finding.about}: {mark.why}")
        with files.atomic(path) as temporary, files.open_csv(temporary) as file:
            writer = csv.writer(file)
            writer.writerow(["file", *COLUMNS, "odd"])
            for look in self.looks:
                values = [getattr(look, column) for column in COLUMNS]
                cells = [f"{value:.4g}" if isinstance(value, float) else value for value in values]
                writer.writerow([look.path, *cells, "; ".join(odd.get(look.path, []))])


def examine(
    data: str | os.PathLike,
    *,
    defect: float | None = None,
    protocol: str | None = None,
    seed: int = 0,
    settings: Settings | None = None,
    progress: bool = False,
) -> Examination:
    """Look at every image of a data set (see `dssm.data.discover`) as training with `settings` would.

    `defect` is the smallest defect that matters, in pixels of the images as they are. An image that cannot be read is a
    finding; InputError is raised only where there is no image at all, and for a defect of no size.
    """
    if defect is not None and not 0 < defect < math.inf:
        raise InputError(f"defect must be a number of pixels above 0, not {defect}")
    settings = settings or preset(DEFAULT)
    data = os.fspath(data)
    collection, findings = listed(data, protocol, seed)
    root = elpv.installed() if data == elpv.LAYOUT else Path(data)
    looks, broken = look_at(collection.train, collection.test, progress=progress)
    findings += left_out(collection, root)
    if broken:
        marks = tuple(Mark(path, why) for path, why in broken.items())
        what = f"{number(len(marks), 'file')} cannot be read; the first: {marks[0].why}"
        findings.append(Finding("problem", "unreadable", what, "remove or replace them: training stops there", marks))
    findings += masks(collection)
    if collection.layout != UNKNOWN:
        findings += amount(sum(look.training for look in looks), settings)
    findings += [*copies(looks), *exposure(looks), *sizes(looks)]
    if looks:
        findings += smallest_defect(*typical(looks), defect, settings)
    ordered = sorted(findings, key=lambda finding: LEVELS.index(finding.level))
    return Examination(root, collection, tuple(looks), tuple(ordered))
