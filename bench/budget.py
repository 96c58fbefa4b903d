# SPDX-License-Identifier: Apache-2.0
"""The static budget of the Triton kernels: what their machine code took when it was last looked at.

    python -m dssm.bench.budget        compile, and rewrite tests/gpu/budget.json

A test compares every launch of every case with it. Needs no GPU.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import triton

from . import cases, compiled
from .sass import mean_width

TARGETS = ("sm_80", "sm_90")
FILE = Path(__file__).parents[1] / "tests" / "gpu" / "budget.json"
KEPT = ("target", "op", "case", "kernel", "grid", "warps", "registers", "shared", "loads", "stores", "mma")
# A release of the compiler moves these a little without harm.
SLACK = {"registers": 8, "shared": 1024}

Row = dict[str, Any]


def read() -> dict[str, Any]:
    """The release of Triton it was written with, and the rows: one per launch."""
    return json.loads(FILE.read_text())


def by_case(rows: list[Row], target: str | None = None) -> dict[str, list[Row]]:
    """The launches of each case, in order."""
    found = defaultdict(list)
    for row in rows:
        if target in (None, row["target"]):
            found[f"{row['op']} {row['case']}"].append(row)
    return found


def excess(expected: list[Row], actual: list[Row]) -> list[str]:
    """In what the launches of a case do worse than the budget: one word each, and the figures."""
    if [row["kernel"] for row in expected] != [row["kernel"] for row in actual]:
        return [f"launches: {', '.join(row['kernel'] for row in actual)}"]
    return [found for pair in zip(expected, actual, strict=True) for found in _excess(*pair)]


def _excess(expected: Row, actual: Row) -> Iterator[str]:
    name = actual["kernel"]
    if len(actual["grid"]) != 1 or actual["grid"][0] > expected["grid"][0]:
        yield f"grid: {actual['grid']} in {name}, not {expected['grid']}"
    if actual["spills"]:
        yield f"spills: {actual['spills']} bytes per thread in {name}"
    for key, slack in SLACK.items():
        if actual[key] > expected[key] + slack:
            yield f"{key}: {actual[key]} in {name}, not {expected[key]}"
    for key in ("loads", "stores"):
        if mean_width(actual[key]) < 0.9 * mean_width(expected[key]):
            yield f"{key}: {actual[key]} by width in {name}, not {expected[key]}"
    if actual["mma"] != expected["mma"]:
        yield f"mma: {actual['mma'] or 'none'} in {name}, not {expected['mma'] or 'none'}"


def main() -> None:
    rows = [row for target in TARGETS for row in compiled.report(target, cases.kernel_ops())]
    lines = ",\n".join(json.dumps({key: row[key] for key in KEPT}) for row in rows)
    FILE.write_text(f'{{"triton": "{triton.__version__}", "rows": [\n{lines}\n]}}\n')


if __name__ == "__main__":
    main()
