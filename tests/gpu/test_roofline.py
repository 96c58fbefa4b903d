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
THRIFTY = sorted({"blend", "hog", "paste"} & set(cases.kernel_ops()))


def count(op: str) -> roofline.Count:
    """Of one image of 3 x 256 x 256 float32: a batch of them moves as many for each."""
    case, factor = next(subject for subject in roofline.subjects(op) if subject[0].name.startswith("float32"))
    assert factor == roofline.IMAGES
    return roofline.count(case)


@pytest.mark.parametrize("op", THRIFTY)
def test_bytes_moved_are_near_the_least(op: str) -> None:
    found = count(op)
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


def test_the_documents_are_of_these_kernels() -> None:
    written = json.loads((ROOT / "docs" / "roofline.json").read_text())["counts"]
    assert {row["op"] for row in written} == set(cases.kernel_ops()), "run: make roofline"
