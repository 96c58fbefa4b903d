# SPDX-License-Identifier: Apache-2.0
"""A peer is worth timing only if it computes the same."""

from __future__ import annotations

import math
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from dssm import metrics, ops
from dssm.cli.bench import module
from dssm.reference.augment import plan

pytest.importorskip("cv2")
pytest.importorskip("scipy")


@pytest.mark.parametrize("name", ["lattice_noise", "tuned_noise"])
def test_numpy_perlin_follows_the_formula(noise_peers: ModuleType, name: str) -> None:
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, (3, 5))
    noise = getattr(noise_peers, name)((8, 16), angles)

    def fade(t: float) -> float:
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    for y, x in ((0, 0), (3, 5), (7, 15), (2, 13)):
        i, j = y // 4, x // 4
        v, u = y / 4 - i, x / 4 - j
        total = 0.0
        for a in (0, 1):
            for b in (0, 1):
                angle = angles[i + a, j + b]
                dot = math.cos(angle) * (v - a) + math.sin(angle) * (u - b)
                total += abs(1 - a - fade(v)) * abs(1 - b - fade(u)) * dot
        assert noise[y, x] == pytest.approx(math.sqrt(2) * total, abs=1e-5)


def test_numpy_masks_are_one_component(noise_peers: ModuleType) -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        mask = noise_peers.noise_mask((64, 64), rng, 0.1)
        assert mask.mean() <= 0.1
        assert np.array_equal(noise_peers.largest(mask), mask)


def test_scipy_and_ours_choose_the_same_component(noise_peers: ModuleType) -> None:
    masks = np.random.default_rng(0).random((8, 33, 40)) > 0.6
    ours = ops.component(torch.from_numpy(masks)).numpy()
    assert all(np.array_equal(noise_peers.largest(mask), mine) for mask, mine in zip(masks, ours, strict=True))


def test_numpy_blend_is_within_a_grey_value_of_ours(noise_peers: ModuleType) -> None:
    inputs = module("inputs")
    image, source = (torch.from_numpy(inputs.photographs(4, 32, 32, seed=seed)) for seed in (0, 1))
    mask = torch.rand(4, 32, 32, generator=torch.Generator().manual_seed(0)) > 0.5
    ours = ops.blend(image, source, mask, torch.full((4,), 0.7))
    pictures = zip(inputs.pictures(image), inputs.pictures(source), mask.numpy(), strict=True)
    theirs = np.stack([noise_peers.blend(*three, 0.7) for three in pictures]).transpose(0, 3, 1, 2)
    assert np.abs(theirs.astype(int) - ours.numpy()).max() <= 1


@pytest.mark.parametrize("count", [1, 3])
def test_pillow_gets_the_plan_of_ours(noise_peers: ModuleType, count: int) -> None:
    inputs = module("inputs")
    image, index = torch.from_numpy(inputs.photographs(12, 32, 32)), torch.arange(12)
    ours = ops.augment(image, index, seed=0, count=count)
    draws = zip(*(part.tolist() for part in plan(index, 0, count)), strict=True)
    for picture, draw, mine in zip(inputs.pictures(image), draws, inputs.pictures(ours), strict=True):
        assert np.array_equal(np.asarray(noise_peers.randaugment(Image.fromarray(picture), *draw)), mine)


@pytest.mark.parametrize("shape", [(32, 8, 8), (16, 9, 7)])
def test_eager_masked_convolutions_equal_ours(shape: tuple[int, int, int]) -> None:
    peers = module("masked_peers")
    torch.manual_seed(0)
    four = peers.FourConvolutions(shape[0])
    x = torch.randn(2, *shape)
    ours = four.attention(ops.mscm(x, *four.weights(), dilation=four.dilation))
    torch.testing.assert_close(four(x), ours, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(peers.DilatedConvolution(four)(x), ours, rtol=1e-5, atol=1e-5)


def test_the_published_mahalanobis_equals_ours() -> None:
    distances = module("distance_peers")
    generator = torch.Generator().manual_seed(0)
    x, mean = torch.randn(3, 8, 4, 5, generator=generator), torch.randn(4, 5, 8, generator=generator)
    whiten = (torch.randn(4, 5, 8, 8, generator=generator) / 8 + torch.eye(8)).tril()
    inverse = (whiten.mT @ whiten).flatten(0, 1)
    ours = ops.mahalanobis(x, mean, whiten)
    torch.testing.assert_close(distances.inverse(x, mean.flatten(0, 1), inverse), ours, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(distances.whitened(x, mean, whiten), ours, rtol=1e-4, atol=1e-4)


def test_numpy_aupro_equals_ours() -> None:
    rng = np.random.default_rng(0)
    masks = rng.random((3, 20, 20)) > 0.7
    maps = np.round(rng.random((3, 20, 20)) + 0.3 * masks, 1)
    assert module("metric_peers").aupro(maps, masks) == pytest.approx(metrics.aupro(maps, masks), abs=1e-9)
