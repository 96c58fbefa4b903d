# SPDX-License-Identifier: Apache-2.0
"""The table of all planted mistakes and what must catch each.

python -m tests.gpu.mutants.table        rewrite docs/gpu_mutants.md; `make gpu-mutants` runs their tests first
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dssm import files

from . import ROOT, Edit, cuda, guarded, kernels, launches, ptx

FILE = ROOT / "docs" / "gpu_mutants.md"


class Mutant(Protocol):
    """What all declarations have."""

    @property
    def name(self) -> str: ...
    @property
    def where(self) -> str: ...
    @property
    def caught(self) -> str: ...


# Heading, what looks at them, and the mistakes.
SECTIONS: tuple[tuple[str, str, Sequence[Mutant]], ...] = (
    (
        "Small kernels, in the guarded interpreter",
        "Planted in `tests/gpu/mutants/guarded.py` beside sound twins; the check of `bench/guard.py`.",
        guarded.MUTANTS,
    ),
    (
        "Our Triton kernels, in the guarded interpreter",
        "The check of `bench/guard.py`, or result: what comes out is not the reference's.",
        [mutant for mutants in kernels.MUTANTS.values() for mutant in mutants],
    ),
    (
        "Our Triton kernels, counted against the least bytes",
        "`bench/roofline.py`: more than 1.5 times as many bytes move as must.",
        list(kernels.WASTE.values()),
    ),
    (
        "Small kernels and wrappers, in dry launches",
        "Planted in `tests/gpu/mutants/launches.py` beside sound twins; what `bench/budget.py` finds worse.",
        launches.MUTANTS,
    ),
    (
        "Wrappers that wait for the device, in dry launches",
        "What `bench/compiled.py` raises.",
        launches.WAITS,
    ),
    (
        "Our Triton kernels, compiled for sm_80 and executed on NumPy",
        "What `tests/gpu/ptx` says, or result: what comes out is not the reference's.",
        ptx.MUTANTS,
    ),
    (
        "Our CUDA kernel, on the emulator",
        "What `tests/gpu/emulator` says, or result: what comes out is not the reference's.",
        cuda.MUTANTS,
    ),
    (
        "Our CUDA kernel, compiled by nvcc",
        "What is over the budget of `tests/gpu/budget_cuda.json`.",
        cuda.COSTS,
    ),
)


def text() -> str:
    """Markdown. AssertionError where an edit fits its source no longer."""
    count = sum(len(mutants) for _, _, mutants in SECTIONS)
    lines = [
        "# Planted mistakes",
        "",
        "Made by `make gpu-mutants` from `tests/gpu/mutants`; do not edit.",
        "",
        f"{count} mistakes, each planted alone; a test per row asserts that the check says what the last column says.",
        "The same checks find nothing in what is unbroken.",
    ]
    for heading, check, mutants in SECTIONS:
        lines += ["", f"## {heading}", "", check, "", "| mistake | where | caught by |", "|---|---|---|"]
        for mutant in mutants:
            if isinstance(mutant, Edit):
                mutant.edited((ROOT / mutant.file).read_text())
            lines.append(f"| {mutant.name} | {_cell(mutant.where)} | {_cell(mutant.caught)} |")
    return "\n".join(lines) + "\n"


def _cell(words: str) -> str:
    """One line, in which a bar does not end the cell."""
    return " ".join(words.split()).replace("|", r"\|")


if __name__ == "__main__":
    files.write_text(FILE, text())
