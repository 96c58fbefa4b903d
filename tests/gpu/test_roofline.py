# SPDX-License-Identifier: Apache-2.0
"""What the kernels move, counted in the interpreter against what must move."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from dssm.cli.bench import module

from .installed import planted
from .mutants import ROOT
from .mutants.kernels import WASTE

cases, roofline = module("cases"), module("roofline")
THRIFTY = {"blend", "hog", "paste"}
WRITTEN = json.loads((ROOT / "docs" / "roofline.json").read_text())["counts"]
STALE = "run: make roofline"


def count(op: str) -> roofline.Count:
    """Of float32, where the op takes it, and a batch of images."""
    case, factor = min(roofline.subjects(op), key=lambda subject: not subject[0].name.startswith("float32"))
    return roofline.count(case).times(factor)


@pytest.mark.parametrize("op", cases.kernel_ops())
def test_bytes_moved_are_those_of_the_documents(op: str) -> None:
    """And near the least where all of them are the images'."""
    found = count(op)
    row = next(row for row in WRITTEN if (row["op"], row["case"]) == (found.op, found.case))
    assert (found.least, found.moved, found.launches) == (row["least"], row["moved"], row["launches"]), STALE
    if op in THRIFTY:
        assert found.least <= found.moved <= 1.5 * found.least


@pytest.mark.parametrize("op", WASTE)
def test_mutants_are_caught(op: str, tmp_path: Path) -> None:
    with planted(WASTE[op], tmp_path):
        found = count(op)
    assert found.moved > 1.5 * found.least


def test_bytes_operations_and_bounds_of_a_small_blend() -> None:
    image = torch.ones(1, 2, 8, 8)
    mask = torch.arange(64).view(1, 8, 8) < 16
    case = cases.Case("blend", "small", (image, image, mask, torch.ones(1)))
    count = roofline.count(case).times(32)
    assert count.least == 32 * (2 * 2 * 64 * 4 + 2 * 16 * 4 + 64 + 4)
    assert count.moved == count.least
    # 1 - alpha, two products and a sum, of all lanes of a block of 1024, for two channels.
    assert count.operations["float32"] >= 32 * 2 * 3 * 1024
    assert count.bound("H100 SXM") == max(count.least / 3350e9, count.operations["float32"] / 66.9e12)


def test_the_documents_are_of_these_ops() -> None:
    assert {row["op"] for row in WRITTEN} == set(cases.kernel_ops()), STALE
