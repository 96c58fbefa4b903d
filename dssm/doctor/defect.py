# SPDX-License-Identifier: Apache-2.0
"""The size at which the smallest defect can still be seen.

The finest features lie on a grid of 4 by 4 pixels (the first stage of both backbones). A defect that spans two cells
covers one of them wholly, wherever the grid falls; of a smaller one every feature also sees what is sound beside it.
"""

from __future__ import annotations

import math

from dssm.data import fit_ratio
from dssm.data.size import LARGEST, STEP, fit_area
from dssm.doctor.finding import Finding
from dssm.settings import PRESETS, Settings

CELL = 4  # pixels of the network's image per cell of its finest features
CELLS = 2
WHOLE = PRESETS["best"]["pixels"]  # more pixels than this go through the network in tiles
TILE = 256


def smallest_defect(width: float, height: float, defect: float | None, settings: Settings) -> list[Finding]:
    """A size for typical images of width x height, `defect` in their pixels; without it, what the default shows."""
    default = _default(width, height, settings)
    scale = min(default[0] / height, default[1] / width)
    seen = f"the default size, {_written(default)}, shows them at {scale:.2g} of their size"
    least = CELLS * CELL / min(scale, 1.0)
    if defect is None:
        what = f"{seen}: defects of {math.ceil(least)} pixels and more span {CELLS} cells of the finest features"
        return [Finding("note", "defect", what, "name your smallest defect: --defect PIXELS")]
    found = []
    if defect < CELLS * CELL:
        what = f"a defect of {defect:g} pixels spans {defect / CELL:.2g} of {CELLS} cells even at native size"
        todo = f"bring the camera {CELLS * CELL / defect:.2g} times closer: no setting adds what it did not see"
        found.append(Finding("warning", "defect", what, todo))
    if defect >= least:
        cells = defect * min(scale, 1.0) / CELL
        return [Finding("note", "defect", f"{seen}: a defect of {defect:g} pixels spans {cells:.2g} cells", "")]
    needed = min(1.0, CELLS * CELL / defect)
    size = _up(needed * height), _up(needed * width)
    what = f"{seen}: a defect of {defect:g} pixels spans {defect * scale / CELL:.2g} of {CELLS} cells"
    option = f"--size {_written(size)}" if max(size) <= LARGEST else "--size native"
    if size[0] * size[1] > WHOLE:
        option += f" --tile {TILE}"
    return [*found, Finding("warning" if not found else "note", "defect", what, f"train with {option}")]


def _default(width: float, height: float, settings: Settings) -> tuple[int, int]:
    """The size (height, width) that training would take."""
    if settings.size == "native":
        return round(height), round(width)
    return settings.size or fit_ratio(width / height, fit_area(width * height, settings.pixels))


def _up(side: float) -> int:
    return STEP * math.ceil(side / STEP)


def _written(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
