# SPDX-License-Identifier: Apache-2.0
"""A small network that tells good features from the same with noise: what it takes for noisy is strange."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

NOISE = 0.7  # deviation of the noise; features are whitened, so theirs is 1 in every direction
_HIDDEN = 256
_BATCH = 2048
_RATE = 0.002
_DECAY = 1e-4
_SLOPE = 0.2  # of the leaky ReLU
_WAVES = (0.5, 1, 2, 4, 8)  # half periods over a side of the image, of what tells the network a place


@dataclass
class Discriminator:
    """log p(noisy) / p(good) of whitened features x (C,) at a place of a grid, up to a constant; float32.

    w . l(U x + p), l the leaky ReLU, p (H, W, D) what the place adds. It is SimpleNet's discriminator (Liu et al., CVPR
    2023), on whitened features in the place of an adapter's, with one hidden layer and told where it looks. To know
    noise it must know where good features are dense.
    """

    inner: Tensor  # U (D, C)
    place: Tensor  # p (H, W, D)
    outer: Tensor  # w (D,)

    def logit(self, white: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W)."""
        return F.leaky_relu(white @ self.inner.T + self.place, _SLOPE) @ self.outer


def make_discriminator(
    white: Tensor, places: Tensor, grid: tuple[int, int], steps: int, *, seed: int, progress: bool = False
) -> Discriminator:
    """Trained on good whitened features (N, C) from the places (N,) of a grid (H, W), counted row by row."""
    generator = torch.Generator().manual_seed(seed)
    device, channels, waves = white.device, white.shape[1], _waves(grid).to(white.device)

    def drawn(*shape: int, reach: float) -> Tensor:
        return torch.empty(shape).uniform_(-reach, reach, generator=generator).to(device).requires_grad_()

    inputs = channels + waves.shape[1]
    inner, start = (drawn(*shape, reach=inputs**-0.5) for shape in ((_HIDDEN, inputs), (_HIDDEN,)))
    outer, constant = (drawn(*shape, reach=_HIDDEN**-0.5) for shape in ((1, _HIDDEN), (1,)))
    optimizer = torch.optim.AdamW([inner, start, outer, constant], _RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    labels = torch.tensor([0.0, 1.0], device=device).repeat_interleave(_BATCH)
    with torch.enable_grad():
        for _ in tqdm(range(steps), desc="discriminator", unit="step", disable=not progress):
            chosen = torch.randint(len(white), (_BATCH,), generator=generator)
            noise = NOISE * torch.randn(_BATCH, channels, generator=generator)
            good, place = white[chosen.to(device)], waves[places[chosen].to(device)]
            x = torch.cat([torch.cat([good, place], 1), torch.cat([good + noise.to(device), place], 1)])
            logits = F.linear(F.leaky_relu(F.linear(x, inner, start), _SLOPE), outer, constant).squeeze(1)
            loss = F.binary_cross_entropy_with_logits(logits, labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    of_features, of_places = inner.detach().split([channels, waves.shape[1]], dim=1)
    place = (waves @ of_places.T + start.detach()).view(*grid, _HIDDEN)
    return Discriminator(of_features.contiguous(), place, outer.detach()[0])


def _waves(grid: tuple[int, int]) -> Tensor:
    """What the network is told of each place (H W, 20): sines and cosines of its coordinates, -1 to 1."""
    axes = torch.meshgrid(*(torch.linspace(-1, 1, side) for side in grid), indexing="ij")
    angles = [math.pi * wave * axis.flatten() for axis in axes for wave in _WAVES]
    return torch.stack([turn(angle) for angle in angles for turn in (torch.sin, torch.cos)], dim=1)
