# SPDX-License-Identifier: Apache-2.0
"""The rival computes what PaDiM is, and README and docs say what the committed results say."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from dssm.cli.bench import module
from dssm.model import backbones
from dssm.settings import Settings

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def inference() -> ModuleType:
    return module("inference")


@pytest.mark.parametrize("name", list(backbones.BACKBONES))
def test_the_eager_network_has_our_stages(name: str) -> None:
    torch.manual_seed(0)
    backbone = backbones.build(Settings().replace(backbone=name), depth=3).eval()
    for norm in backbone.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            norm.running_mean.normal_(std=0.1)
    x = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        theirs = module("padim_peer").eager(backbone)(x)
        ours = backbone(x.contiguous(memory_format=torch.channels_last))
    for a, b in zip(theirs, ours, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * float(b.abs().max()))


def test_the_rival_finds_a_scratch_with_either_blur() -> None:
    images = module("inputs").surfaces(12, 64, 64)
    images[-1, :, 20:26, 10:50] = 20
    rival = module("padim_peer").EagerPaDiM(backbones.build(Settings(), depth=3).eval()).fit(images[:8])
    scores, maps = rival.score(images)
    assert scores[-1] > scores[:-1].max()
    _, separable = rival.score(images, separable=True)
    inside = (slice(None), slice(17, -17), slice(17, -17))  # at the border the two reflect differently
    torch.testing.assert_close(separable[inside], maps[inside], rtol=1e-4, atol=1e-3)


def test_ratios_are_of_the_faster_rival_turn_by_turn(inference: ModuleType) -> None:
    contenders = {"a": ("ours", None), "b": ("rival", None), "c": ("rival", None)}
    seconds = {"a": [0.1, 0.2, 0.1], "b": [0.3, 0.6, 0.3], "c": [9.0, 9.0, 9.0]}
    ours = inference._rows(contenders, seconds, batch=2)[0]
    assert ours["ratio"] == pytest.approx(3)
    assert ours["p50"] == pytest.approx(50)


def test_readme_and_docs_are_what_the_committed_results_make(inference: ModuleType, report: ModuleType) -> None:
    data = json.loads((ROOT / "docs/inference.json").read_text())
    readme = (ROOT / "README.md").read_text()
    expected = report.insert(readme, inference.readme_section(data), inference.BEGIN, inference.END)
    assert readme == expected, "run: python -m dssm.bench.inference --report docs/inference.json --docs ."
    assert (ROOT / "docs/inference.md").read_text() == inference.markdown(data)
