# SPDX-License-Identifier: Apache-2.0
"""A bank of good features: a small set that stands for all, and how far a place is from the nearest of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from dssm.scores.gaussian import Moments

POOL = 60_000  # vectors that the bank is chosen from
RIDGE = 0.01  # of the mean variance, added to every variance: directions that hardly vary must not decide
_DISTANCES = 2**24  # how many are held at once


@dataclass
class Bank:
    """M good vectors (M, C), whitened: W (x - mean), with W^T W the inverse of the covariance of all; float32.

    PatchCore (Roth et al., CVPR 2022) with Mahalanobis in the place of Euclidean distances: what varies little among
    good places counts more.
    """

    mean: Tensor
    whiten: Tensor
    vectors: Tensor

    def distance(self, x: Tensor) -> Tensor:
        """Distance to the nearest vector: (B, C, H, W) -> (B, H, W) float32."""
        batch, _, height, width = x.shape
        flat = x.float().permute(0, 2, 3, 1).flatten(0, 2)
        return nearest((flat - self.mean) @ self.whiten.T, self.vectors)[0].view(batch, height, width)


def make_bank(sample: Reservoir, size: int, *, seed: int, progress: bool = False) -> Bank:
    """The `size` vectors of a sample of good ones that cover it best, whitened.

    Raises InputError where the sample is empty or holds values that are not finite.
    """
    vectors = sample.vectors()
    moments = Moments()
    moments.update(vectors)
    gaussian = moments.gaussian(ridge=RIDGE)
    white = (vectors - gaussian.mean) @ gaussian.whiten.T
    return Bank(gaussian.mean, gaussian.whiten, white[coreset(white, size, seed=seed, progress=progress)])


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
