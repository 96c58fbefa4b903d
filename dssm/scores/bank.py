# SPDX-License-Identifier: Apache-2.0
"""A bank of good features: a small set that stands for all, and how far a place is from the nearest of it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from dssm.scores.gaussian import Moments
from dssm.scores.maps import gaussian_blur

POOL = 60_000  # vectors that the bank is chosen from
RIDGE = 0.01  # of the mean variance, added to every variance: directions that hardly vary must not decide
_SPREAD = 1.0  # positions over which what is usual is smoothed
_PRIOR = 2.0  # vectors as usual as all together that every position is taken to have
_DISTANCES = 2**24  # how many are held at once
_COLUMNS = 32


@dataclass
class Bank:
    """M good vectors (M, C), whitened: W (x - mean), with W^T W the inverse of the covariance of all; float32.

    PatchCore (Roth et al., CVPR 2022) with Mahalanobis in the place of Euclidean distances: what varies little among
    good places counts more. And `usual` (2, H, W), mean and deviation of the distances of good images at every
    position: the bank knows what is good, but not where; an edge or a print is farther from it than a plain face.
    """

    mean: Tensor
    whiten: Tensor
    vectors: Tensor
    usual: Tensor

    def whitened(self, x: Tensor) -> Tensor:
        """W (x - mean) of features (..., C), float32."""
        return (x - self.mean) @ self.whiten.T

    def distance(self, white: Tensor) -> Tensor:
        """Distance of whitened features to the nearest vector: (B, H, W, C) -> (B, H, W)."""
        return nearest(white.flatten(0, 2), self.vectors)[0].view(white.shape[:3])

    def excess(self, distance: Tensor) -> Tensor:
        """By how many deviations distances (B, H, W) are larger than usual at their places."""
        return (distance - self.usual[0]) / self.usual[1]


def make_bank(sample: Reservoir, size: int, grid: tuple[int, int], *, seed: int, progress: bool = False) -> Bank:
    """The `size` vectors of a sample of good ones that cover it best, whitened.

    The sample is of a stream of maps on a `grid` (H, W), place after place. Raises InputError where it is empty or
    holds values that are not finite.
    """
    vectors = sample.vectors()
    moments = Moments()
    moments.update(vectors)
    gaussian = moments.gaussian(ridge=RIDGE)
    white = (vectors - gaussian.mean) @ gaussian.whiten.T
    chosen = coreset(white, size, seed=seed, progress=progress)
    others = torch.ones(len(white), dtype=torch.bool, device=white.device)
    others[chosen] = len(chosen) == len(white)  # a chosen one is at no distance from itself
    distances = nearest(white[others], white[chosen])[0]
    usual = usual_at(distances.cpu(), sample.numbers[others.cpu()] % (grid[0] * grid[1]), grid).to(white.device)
    return Bank(gaussian.mean, gaussian.whiten, white[chosen], usual)


def usual_at(values: Tensor, places: Tensor, grid: tuple[int, int]) -> Tensor:
    """Mean and deviation (2, H, W) float32 of values (N,) at the places (N,) of a grid (H, W), counted row by row.

    Few values know a deviation badly: places share with their neighbours, and each has a few values like all together.
    """
    values = values.double()

    def at(weights: Tensor) -> Tensor:
        sums = torch.bincount(places, weights, minlength=grid[0] * grid[1])
        return gaussian_blur(sums.view(1, *grid), _SPREAD)[0]

    count = at(torch.ones_like(values)) + _PRIOR
    mean = (at(values) + _PRIOR * values.mean()) / count
    squares = (values - mean.flatten()[places]).square()
    variance = (at(squares) + _PRIOR * squares.mean()) / count
    return torch.stack([mean, variance.sqrt().clamp_min(1e-6)]).float()


def nearest(x: Tensor, bank: Tensor) -> tuple[Tensor, Tensor]:
    """For each of x (N, C), the Euclidean distance to the nearest of `bank` (M, C) and its number; both (N,)."""
    mean = bank.mean(0)  # what all have in common would cost the digits in which they differ
    x, bank = x - mean, bank - mean
    spare = -len(bank) % _COLUMNS
    half = F.pad(bank.square().sum(1) / 2, (0, spare), value=torch.inf)
    others = F.pad(bank, (0, 0, 0, spare)).T
    step = max(1, _DISTANCES // len(half))
    # |x - b|^2 / 2 without what all b have in common, |x|^2 / 2.
    index = torch.cat([_smallest(torch.addmm(half, part, others, alpha=-1)) for part in x.split(step)])
    index = index.clamp_max(len(bank) - 1)  # of vectors that are not finite it may be anything
    # That subtracts squares, of which rounding is all that stays between neighbours.
    return (x - bank[index]).square().sum(1).sqrt(), index


def _smallest(values: Tensor) -> Tensor:
    """Which of each row (N, K _COLUMNS) is smallest: argmin looks at one value at a time, amin at many."""
    table = values.unflatten(1, (-1, _COLUMNS))
    column = table.amin(1).argmin(1)
    row = table.gather(2, column[:, None, None].expand(-1, table.shape[1], 1)).squeeze(2).argmin(1)
    return row * _COLUMNS + column


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
        self._seen = 0
        self.numbers = torch.empty(0, dtype=torch.int64)  # of the vectors in the stream

    def update(self, x: Tensor) -> None:
        """Add vectors (N, C)."""
        self._keys = torch.cat([self._keys, torch.rand(len(x), generator=self._generator, dtype=torch.float64)])
        self._parts.append(x)
        self.numbers = torch.cat([self.numbers, torch.arange(self._seen, self._seen + len(x))])
        self._seen += len(x)
        if len(self._keys) > 2 * self.size:
            self._thin()

    def vectors(self) -> Tensor:
        """The sample, in the order of the stream."""
        self._thin()
        return self._parts[0]

    def _thin(self) -> None:
        kept = self._keys.argsort()[: self.size].sort().values
        self._keys, self.numbers = self._keys[kept], self.numbers[kept]
        self._parts = [torch.cat(self._parts)[kept.to(self._parts[0].device)]]
