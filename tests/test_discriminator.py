# SPDX-License-Identifier: Apache-2.0
"""The network that tells good features from noisy ones."""

from __future__ import annotations

from itertools import starmap

import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from dssm.scores.discriminator import Discriminator, make_discriminator

GRID = (4, 6)
PLACES = torch.arange(2400) % 24


def good(seed: int = 0) -> torch.Tensor:
    """Features (2400, 8) on a circle, each half of the grid with one of its halves, and nothing inside the circle."""
    generator = torch.Generator().manual_seed(seed)
    angle = torch.pi * (torch.rand(len(PLACES), generator=generator) + (PLACES % 6 > 2))
    around = 1.4 * torch.stack([angle.cos(), angle.sin()], dim=1)
    return torch.cat([around, torch.zeros(len(PLACES), 6)], dim=1)


def on_grid(x: torch.Tensor) -> torch.Tensor:
    return x.view(-1, *GRID, x.shape[1])


def test_the_logit_is_the_networks() -> None:
    generator = torch.Generator().manual_seed(0)
    shapes = ((5, 3), (*GRID, 5), (5,))
    inner, place, outer = (torch.randn(*shape, generator=generator) for shape in shapes)
    x = torch.randn(2, *GRID, 3, generator=generator)
    found = Discriminator(inner, place, outer).logit(x)
    expected = (F.leaky_relu(inner @ x[1, 2, 4] + place[2, 4], 0.2) * outer).sum()
    torch.testing.assert_close(found[1, 2, 4], expected)
    assert found.shape == (2, *GRID)


def test_what_no_good_image_has_stands_out() -> None:
    """The middle of the circle is where a Gaussian of the features has its mean, and no good feature is."""
    made = make_discriminator(good(), PLACES, GRID, 300, seed=0)
    logits = made.logit(on_grid(good(seed=1)))
    middle = made.logit(torch.zeros(10, *GRID, 8))
    labels = [0] * logits.numel() + [1] * middle.numel()
    assert roc_auc_score(labels, torch.cat([logits.flatten(), middle.flatten()])) > 0.95


def test_what_is_good_elsewhere_stands_out() -> None:
    made = make_discriminator(good(), PLACES, GRID, 300, seed=0)
    features = on_grid(good(seed=1))
    here, there = made.logit(features), made.logit(features.flip(2))
    assert roc_auc_score([0] * here.numel() + [1] * there.numel(), torch.cat([here.flatten(), there.flatten()])) > 0.8


def test_the_seed_fixes_it() -> None:
    made = [make_discriminator(good(), PLACES, GRID, 3, seed=seed) for seed in (0, 0, 1)]
    tensors = [list(vars(one).values()) for one in made]
    assert all(starmap(torch.equal, zip(tensors[0], tensors[1], strict=True)))
    assert not any(starmap(torch.equal, zip(tensors[0], tensors[2], strict=True)))
    assert not any(tensor.requires_grad for tensor in tensors[0])
