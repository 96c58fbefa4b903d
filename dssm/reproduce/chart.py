# SPDX-License-Identifier: Apache-2.0
"""A table as a picture: a dot per mean with its deviation, a hollow one for the paper's number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dssm import files
from dssm.errors import InputError
from dssm.reproduce.report import Measured, largest, title
from dssm.reproduce.tables import MEASURES, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_DRAWN = ("image_auroc", "pixel_auroc")
_COLOURS = [*(f"C{number}" for number in range(10)), "black", "gold"]  # one for each system of a table


def draw(table: Table, cells: Sequence[Measured], path: Path) -> None:
    """Write a PNG: a panel per data set with a line per system; for a table drawn across, one with a line per data set.

    Raises InputError where matplotlib is missing.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError('matplotlib is missing; run: pip install "dssm-surface[reproduce]"') from error

    panels = [(table.title, cells)] if table.across else [(title(group), group) for group in largest(cells)]
    heights = [len({_label(table, cell) for cell in part}) for _, part in panels]
    figure = Figure(figsize=(7, 0.9 + sum(0.28 * lines + 0.5 for lines in heights)), layout="constrained")
    rows = figure.subplots(len(panels), squeeze=False, height_ratios=heights, sharex=True)
    colours: dict[str, str] = {}
    for (head, part), (axes,) in zip(panels, rows, strict=True):
        _panel(axes, table, part, colours)
        axes.set_title(head, fontsize=9, loc="left")
    rows[-1][0].set_xlabel("AUROC, %; a dot is a mean over the runs, a hollow one the paper's number", fontsize=8)
    for name, colour in colours.items():
        rows[0][0].scatter([], [], color=colour, label=name, s=22)
    figure.legend(loc="outside lower center", ncols=3, fontsize=7)
    with files.atomic(path) as temporary:
        figure.savefig(temporary, dpi=110, metadata={"Software": None})


def _panel(axes: Axes, table: Table, cells: Sequence[Measured], colours: dict[str, str]) -> None:
    labels = list(dict.fromkeys(_label(table, cell) for cell in cells))
    for cell in cells:
        height = labels.index(_label(table, cell))
        for measure in _DRAWN:
            value = cell.value(measure) if measure in table.measures else None
            if value is None:
                continue
            series = cell.row.system.title.replace("`", "") if table.across else MEASURES[measure]
            colour = colours.setdefault(series, _COLOURS[len(colours) % len(_COLOURS)])
            style: dict[str, Any] = {"color": colour, "markersize": 5, "linewidth": 1}
            axes.errorbar(value, height, xerr=cell.spread(measure) or 0, fmt="o", capsize=2, **style)
            paper = cell.paper(measure)
            if paper is not None:
                axes.plot(paper, height, marker="o", fillstyle="none", **style)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)


def _label(table: Table, cell: Measured) -> str:
    return (cell.data.title if table.across else cell.row.system.title).replace("`", "")
