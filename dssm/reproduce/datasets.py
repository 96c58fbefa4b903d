# SPDX-License-Identifier: Apache-2.0
"""The data sets of the tables, by their folders below the one that the user gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dssm.errors import InputError


@dataclass(frozen=True)
class DataSet:
    """A data set under one way to split it."""

    name: str
    title: str
    folder: str  # below the user's
    origin: str  # where to get it
    protocol: str | None = None

    def locate(self, root: Path) -> Path:
        """Its folder; raises InputError where there is none."""
        path = root / self.folder
        if not path.is_dir():
            raise InputError(f"{self.title}: there is no folder {path}; {self.origin}")
        return path


_BSD = "bsd", "clone https://github.com/2Obe/BSData to there"
_MVTEC = "get MVTec AD from https://www.mvtec.com/company/research/datasets/mvtec-ad"
_TILES = "arrange https://github.com/abin24/Magnetic-tile-defect-datasets. there as MVTec AD is"

BSD_PAPER = DataSet("bsd-paper", "BSD, paper's split", *_BSD, protocol="paper")
BSD_STRICT = DataSet("bsd-strict", "BSD, strict folds", *_BSD, protocol="strict")
BSD = (BSD_PAPER, BSD_STRICT)

CATEGORIES = (
    *("bottle", "cable", "capsule", "hazelnut", "metal_nut", "pill", "screw", "toothbrush", "transistor", "zipper"),
    *("carpet", "grid", "leather", "tile", "wood"),
)
MVTEC = tuple(DataSet(name, f"MVTec {name.replace('_', ' ')}", f"mvtec/{name}", _MVTEC) for name in CATEGORIES)

MAGNETIC_TILE = DataSet("magnetic_tile", "magnetic tile", "magnetic_tile", _TILES)
SURFACES = (*BSD, *(data for data in MVTEC if data.name in ("bottle", "pill", "screw")), MAGNETIC_TILE)
