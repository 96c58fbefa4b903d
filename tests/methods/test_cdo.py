# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dssm import Detector, methods
from dssm.methods.cdo import Pair, collaborative, spoil
from dssm.settings import Settings


@pytest.fixture(scope="module")
def small() -> Settings:
    """A random ResNet-18, which needs no package."""
    settings = methods.defaults("cdo").replace(backbone="resnet18", weights=None)
    return settings.replace(size=(64, 64), batch=4, epochs=8, rate=1e-3, map_stages=(1, 2))


def test_the_loss_equals_its_formula() -> None:
    torch.manual_seed(0)
    d, noisy = torch.rand(2, 5, 4), torch.rand(2, 5, 4) < 0.3
    good, bad = d[~noisy].tolist(), d[noisy].tolist()
    w_good = [(x / np.mean(good)) ** 2 for x in good]
    w_bad = [(np.mean(bad) / x) ** 2 for x in bad]
    total = sum(w * x for w, x in zip(w_good, good, strict=True)) - sum(w * x for w, x in zip(w_bad, bad, strict=True))
    assert collaborative(d, noisy).item() == pytest.approx(total / (sum(w_good) + sum(w_bad)), rel=1e-4)


def test_it_pulls_good_positions_together_and_pushes_noisy_ones_apart() -> None:
    d, noisy = torch.rand(1, 6, 6).requires_grad_(), torch.zeros(1, 6, 6, dtype=torch.bool)
    noisy[:, :2] = True
    collaborative(d, noisy).backward()
    assert d.grad is not None
    assert (d.grad[~noisy] > 0).all()
    assert (d.grad[noisy] < 0).all()
    for everywhere in (torch.zeros_like(noisy), torch.ones_like(noisy)):
        assert torch.isfinite(collaborative(d, everywhere))


def test_noise_fills_up_to_four_rectangles(surfaces: Tensor) -> None:
    images = surfaces.repeat(10, 1, 1, 1)
    index = torch.arange(len(images))
    noisy, mask = spoil(images, index, seed=0)
    assert torch.equal(noisy[~mask[:, None].expand_as(noisy)], images[~mask[:, None].expand_as(images)])
    inside = noisy[mask[:, None].expand_as(noisy)].float()
    assert inside.mean().item() == pytest.approx(127.5, abs=2)
    assert inside.std().item() == pytest.approx(73.9, abs=1)
    share = mask.float().mean((1, 2))
    assert (share == 0).float().mean().item() == pytest.approx(0.2, abs=0.1)
    assert share.max() <= 4 * 0.2**2

    alone, _ = spoil(images[7:8], index[7:8], seed=0)
    assert torch.equal(alone[0], noisy[7])


def test_the_teacher_stays_as_it_was(small: Settings, surfaces: Tensor) -> None:
    torch.manual_seed(0)
    pair = Pair(small).train()
    before = {name: value.clone() for name, value in pair.backbone.state_dict().items()}
    maps = pair(surfaces[:4])
    assert maps.shape == (4, 2, 16, 16)
    maps.sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in pair.backbone.state_dict().items())
    assert all(parameter.grad is None for parameter in pair.backbone.parameters())
    assert all(parameter.grad is not None for parameter in pair.student.parameters())


def test_another_backbone_and_other_stages(small: Settings, surfaces: Tensor) -> None:
    pair = Pair(small.replace(backbone="efficientnet-lite0", map_stages=(3, 2))).eval()
    with torch.no_grad():
        assert pair(surfaces[:2]).shape == (2, 2, 8, 8)


def test_it_learns_saves_and_loads(small: Settings, surfaces: Tensor, tmp_path: Path) -> None:
    detector = Detector(small, device="cpu").fit(surfaces, progress=False)
    scratched = surfaces.clone()
    scratched[:, :, 20:26, 10:50] = 20
    good, bad = (np.array([p.score for p in detector.predict(x)]) for x in (surfaces, scratched))
    assert (bad > good.max()).all()
    detector.save(tmp_path)
    again = Detector.load(tmp_path, device="cpu").predict(surfaces[:2])
    for a, b in zip(detector.predict(surfaces[:2]), again, strict=True):
        assert a.score == b.score
        assert np.array_equal(a.map, b.map)
