# SPDX-License-Identifier: Apache-2.0
"""The paper's Tables 3 to 9 and one of our own, as data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dssm.errors import InputError
from dssm.reproduce import systems
from dssm.reproduce.datasets import BSD, MVTEC, SURFACES, DataSet
from dssm.reproduce.paper import Numbers, bsd, mvtec
from dssm.reproduce.systems import System

T = TypeVar("T")

MEASURES = {
    "image_auroc": "image AUROC",
    "pixel_auroc": "pixel AUROC",
    "pixel_aupro": "pixel AUPRO",
    "pixel_ap": "pixel AP",
}


@dataclass(frozen=True)
class Row:
    """A system, and what the paper reports of it: data set -> measure -> percent."""

    system: System
    paper: Numbers = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Systems on data sets."""

    name: str  # what the command calls it
    title: str
    rows: tuple[Row, ...]
    data: tuple[DataSet, ...] = BSD
    measures: tuple[str, ...] = tuple(MEASURES)
    across: bool = False  # drawn as in the paper, a line per data set and a column per system

    @property
    def stem(self) -> str:
        """The name of its files."""
        return f"table{self.name}" if self.name.isdigit() else self.name

    def only(self, names: Sequence[str]) -> tuple[Row, ...]:
        """The rows of these names, all where none is named."""
        return _named("--only", names, {row.system.name: row for row in self.rows})

    def on(self, names: Sequence[str]) -> tuple[DataSet, ...]:
        """The data sets of these names, all where none is named."""
        return _named("--on", names, {data.name: data for data in self.data})


def _named(option: str, names: Sequence[str], known: Mapping[str, T]) -> tuple[T, ...]:
    for name in names:
        if name not in known:
            raise InputError(f"{option} must be one of {', '.join(known)}, not {name!r}")
    return tuple(known[name] for name in names or known)


def _ablation(name: str, title: str, changes: Mapping[str, Any], image: float, pixel: float) -> Row:
    return Row(System(name, title, changes=changes), bsd(image, pixel))


_FLOOR = Row(systems.UNTRAINED)
_COMPARED = (
    systems.STUDENTS,
    systems.PATCH_SVDD,
    systems.PADIM,
    systems.PATCHCORE,
    systems.CUTPASTE,
    systems.SSPCAB,
    systems.DRAEM,
    systems.DRAEM_SSPCAB,
    systems.CDO,
    systems.OURS,
    systems.BEST,
)


def _mvtec(name: str, title: str, measure: str) -> Table:
    rows = (_FLOOR, *(Row(system, mvtec(system.name, measure)) for system in _COMPARED))
    return Table(name, title, rows, MVTEC, (measure,), across=True)


TABLES = {
    table.name: table
    for table in (
        Table(
            "3",
            "Table 3: systems on BSD",
            (
                _FLOOR,
                Row(systems.CUTPASTE_2),
                Row(systems.CUTPASTE, bsd(95.63, 93.89)),
                Row(systems.SSPCAB, bsd(95.82, 94.01)),
                Row(systems.DRAEM),
                Row(systems.DRAEM_SSPCAB),
                Row(systems.CDO),
                Row(systems.STUDENTS),
                Row(systems.PATCH_SVDD),
                Row(systems.PADIM),
                Row(systems.PATCHCORE),
                Row(systems.OURS, bsd(97.42, 94.57)),
                Row(systems.BEST),
            ),
        ),
        _mvtec("4", "Table 4: image AUROC on MVTec AD", "image_auroc"),
        _mvtec("5", "Table 5: pixel AUROC on MVTec AD", "pixel_auroc"),
        Table(
            "6",
            "Table 6: prediction targets, without the classification",
            (
                _FLOOR,
                _ablation("rgb", "RGB", {"classify": False, "regress": "rgb"}, 94.63, 93.55),
                _ablation("hog", "HOG", {"classify": False}, 95.16, 93.75),
            ),
        ),
        Table(
            "7",
            "Table 7: the two self-supervised tasks",
            (
                _FLOOR,
                _ablation("hog", "HOG", {"classify": False}, 95.16, 93.75),
                _ablation("np", "noise patches", {"regress": "none"}, 96.08, 94.02),
                _ablation("hog-np", "HOG and noise patches", {}, 97.42, 94.57),
            ),
        ),
        Table(
            "8",
            "Table 8: patch types",
            (
                _FLOOR,
                _ablation("scar", "scar", {"patches": ("scar",), "ways": 2}, 95.49, 94.23),
                _ablation("normal", "normal", {"patches": ("patch",), "ways": 2}, 95.43, 93.89),
                _ablation("scar-normal", "scar and normal", {"patches": ("scar", "patch"), "ways": 2}, 96.04, 94.53),
                _ablation("noise", "noise", {"patches": ("noise",), "ways": 2}, 97.19, 93.85),
                _ablation("noise-scar", "noise and scar", {}, 97.42, 94.57),
            ),
        ),
        Table(
            "9",
            "Table 9: mask types",
            (
                _FLOOR,
                _ablation("none", "no mask", {"mask": "none"}, 96.75, 93.05),
                _ablation("dropout", "dropout", {"mask": "dropout"}, 96.45, 92.86),
                _ablation("rectangle", "rectangle", {"mask": "rectangle"}, 96.84, 93.24),
                _ablation("mscm", "MSCM", {}, 97.42, 94.57),
            ),
        ),
        Table(
            "surfaces",
            "Other surfaces: presets and common baselines",
            (_FLOOR, Row(systems.PADIM), Row(systems.PATCHCORE), Row(systems.QUICK), Row(systems.BEST)),
            SURFACES,
        ),
    )
}
