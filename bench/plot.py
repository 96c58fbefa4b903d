# SPDX-License-Identifier: Apache-2.0
"""The results as a picture: speed over the rival's, a line per case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dssm.errors import InputError

from .report import cases
from .targets import target

STYLES: dict[str, dict[str, Any]] = {
    "peer": {"marker": "o", "color": "0.6", "s": 18},
    "rival": {"marker": "o", "color": "black", "s": 22},
    "reference": {"marker": "x", "color": "tab:orange", "s": 26},
    "floor": {"marker": "|", "color": "tab:green", "s": 90},
    "ours": {"marker": "D", "color": "tab:blue", "s": 30},
}


def draw(data: dict[str, Any], path: Path) -> None:
    """Write a PNG; one thread, logarithmic. Raises InputError where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError('matplotlib is missing; run: pip install "dssm-surface[bench]"') from error

    lines = [rows for rows in cases(data, threads=1) if any(row["role"] == "rival" for row in rows)][::-1]
    figure = Figure(figsize=(9, 1.5 + 0.24 * len(lines)), layout="constrained")
    axes = figure.subplots()
    for height, rows in enumerate(lines):
        wanted = target(rows[0]["op"], rows[0]["case"], data["machine"]["level"])
        if wanted is not None:
            axes.plot([wanted, wanted], [height - 0.4, height + 0.4], color="tab:red", linewidth=1)
        for row in rows:
            axes.scatter(row["ratio"], height, zorder=3, **STYLES[row["role"]])
    for role, style in STYLES.items():
        axes.scatter([], [], label=role, **style)
    axes.plot([], [], color="tab:red", linewidth=1, label="must reach")
    axes.set_yticks(range(len(lines)), [f"{rows[0]['op']} {rows[0]['case']}" for rows in lines], fontsize=7)
    axes.set_xscale("log")
    axes.set_xlabel("images per second over the rival's, one thread")
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=6, fontsize=7)
    figure.savefig(path, dpi=120, metadata={"Software": None})
