# SPDX-License-Identifier: Apache-2.0
"""Nearest neighbours among good features, and the small sets of features that stand for all."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import tqdm

_DISTANCES = 2**24  # how many are held at once


def nearest(x: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    """For each of x (N, C), the Euclidean distance to the nearest of `bank` (M, C) and its number; both (N,)."""
    mean = bank.mean(0)  # what all have in common would cost the digits in which they differ
    x, bank = x - mean, bank - mean
    parts = [torch.cdist(part, bank).min(1) for part in x.split(max(1, _DISTANCES // len(bank)))]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def coreset(x: Tensor, count: int, *, seed: int, dimensions: int = 128, progress: bool = False) -> Tensor:
    """Which `count` of x (N, C) cover it best: greedy k-centre, each next one farthest from all that are chosen.

    Distances are those after a random projection to `dimensions`, which nearly keeps them (Johnson and Lindenstrauss;
    Sinha et al., "Small-GAN: speeding up GAN training using core-sets", ICML 2020). Returns their numbers, ascending.
    """
    generator = torch.Generator().manual_seed(seed)
    if x.shape[1] > dimensions:
        x = x @ (torch.randn(x.shape[1], dimensions, generator=generator) / dimensions**0.5).to(x)
    x = x - x.mean(0)  # keeps the squares below small, and so their differences exact
    squares = x.square().sum(1)
    farthest = int(torch.randint(len(x), (), generator=generator))
    apart = torch.full_like(squares, torch.inf)  # squared distance to the nearest that is chosen
    chosen = []
    for _ in tqdm(range(min(count, len(x))), desc="coreset", unit="patch", disable=not progress):
        chosen.append(farthest)
        distances = torch.addmv(squares, x, x[farthest], alpha=-2).add_(squares[farthest])
        torch.minimum(apart, distances, out=apart)
        apart[farthest] = -torch.inf  # never twice
        farthest = int(apart.argmax())
    return torch.tensor(sorted(chosen), device=x.device)


class Reservoir:
    """A uniform random sample of at most `size` from a stream of vectors: those with the smallest random keys."""

    def __init__(self, size: int, *, seed: int) -> None:
        self.size = size
        self._generator = torch.Generator().manual_seed(seed)
        self._keys = torch.empty(0, dtype=torch.float64)
        self._parts: list[Tensor] = []

    def update(self, x: Tensor) -> None:
        """Add vectors (N, C)."""
        self._keys = torch.cat([self._keys, torch.rand(len(x), generator=self._generator, dtype=torch.float64)])
        self._parts.append(x)
        if len(self._keys) > 2 * self.size:
            self._thin()

    def vectors(self) -> Tensor:
        """The sample, in the order of the stream."""
        self._thin()
        return self._parts[0]

    def _thin(self) -> None:
        kept = self._keys.argsort()[: self.size].sort().values
        self._keys = self._keys[kept]
        self._parts = [torch.cat(self._parts)[kept.to(self._parts[0].device)]]
