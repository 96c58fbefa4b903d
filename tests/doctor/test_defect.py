# SPDX-License-Identifier: Apache-2.0
"""The size for the smallest defect."""

from __future__ import annotations

import re

import pytest

from dssm.cli.train import train
from dssm.data import parse_size
from dssm.doctor.defect import CELL, CELLS, smallest_defect
from dssm.settings import preset

QUICK = preset("quick")


@pytest.mark.parametrize("shape", [(1130, 460), (384, 384), (4000, 3000)])
@pytest.mark.parametrize("defect", [8, 10, 15, 31])
def test_two_cells_at_the_suggested_size(shape: tuple[int, int], defect: float) -> None:
    (finding,) = smallest_defect(*shape, defect, QUICK)
    suggested = re.search(r"--size (\d+x\d+)", finding.todo)
    if suggested is None:
        assert finding.level == "note" or "--size native" in finding.todo
        return
    height, width = parse_size(suggested[1])
    arguments = ["data", "--out", "run", *finding.todo.removeprefix("train with ").split()]
    assert train.make_context("train", arguments).params["size"] == suggested[1]
    assert min(height / shape[1], width / shape[0]) * defect >= CELLS * CELL
    # A step smaller, and it would span less.
    assert ((height - 32) / shape[1]) * defect < CELLS * CELL
    assert ("--tile" in finding.todo) == (height * width > 512 * 512)


def test_a_default_that_is_enough() -> None:
    (finding,) = smallest_defect(384, 384, 16, QUICK)
    assert (finding.level, finding.todo) == ("note", "")
    assert "spans 2 cells" in finding.what


def test_a_defect_that_the_camera_did_not_see() -> None:
    camera, size = smallest_defect(384, 384, 4, QUICK)
    assert camera.level == "warning"
    assert "2 times closer" in camera.todo
    assert "--size 384x384" in size.todo


def test_without_a_defect() -> None:
    (finding,) = smallest_defect(384, 384, None, QUICK)
    assert "defects of 16 pixels and more" in finding.what
