# SPDX-License-Identifier: Apache-2.0
"""A bank of good feature vectors: how far a vector is from the nearest of them, wherever in the image it lies."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dssm.errors import InputError

POOL = 60_000  # vectors that the bank is chosen from
_PROJECTED = 48  # dimensions in which it is chosen; distances survive (Johnson, Lindenstrauss 1984)
_CHUNK = 4096  # vectors compared with the bank at a time, so that memory stays bounded


@dataclass
class Bank:
    """M good vectors (M, C), each channel divided by `deviation` (C,); float32."""

    vectors: Tensor
    deviation: Tensor

    def distance(self, x: Tensor) -> Tensor:
        """Euclidean distance to the nearest vector, channels in units of their deviation: (B, C, H, W) -> (B, H, W)."""
        batch, _, height, width = x.shape
        flat = x.permute(0, 2, 3, 1).flatten(0, 2).float() / self.deviation
        squares = self.vectors.square().sum(1)
        nearest = [
            part.square().sum(1) + (squares - 2 * part @ self.vectors.T).amin(1) for part in flat.split(_CHUNK)
        ]
        return torch.cat(nearest).clamp_min(0).sqrt().view(batch, height, width)


class Patches:
    """A uniform random sample, at most POOL, of a stream of feature vectors; the same for the same stream and seed."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)
        self._keys = torch.empty(0)
        self._vectors: Tensor | None = None

    def update(self, x: Tensor) -> None:
        """Add the vectors of (B, C, H, W): every vector draws a key, and the smallest keys of all stay."""
        flat = x.permute(0, 2, 3, 1).flatten(0, 2).float()
        keys = torch.rand(len(flat), generator=self._generator)
        if self._vectors is not None:
            keys, flat = torch.cat([self._keys, keys]), torch.cat([self._vectors, flat])
        kept = keys.argsort()[:POOL]
        self._keys, self._vectors = keys[kept], flat[kept.to(flat.device)]

    def bank(self, size: int) -> Bank:
        """The `size` vectors that lie farthest apart, chosen one after the other (PatchCore, Roth et al. 2022).

        Raises InputError where no vector was given, and for values that are not finite.
        """
        if self._vectors is None:
            raise InputError("a bank needs at least 1 good feature vector, not 0")
        if not torch.isfinite(self._vectors).all():
            raise InputError("the features of the good images are not finite: an input holds NaN")
        deviation = self._vectors.std(0, correction=0).clamp_min(1e-4)
        scaled = self._vectors / deviation
        return Bank(scaled[farthest(self._project(scaled), size)], deviation)

    def _project(self, vectors: Tensor) -> Tensor:
        channels = vectors.shape[1]
        if channels <= _PROJECTED:
            return vectors
        directions = torch.randn(channels, _PROJECTED, generator=self._generator)
        return vectors @ directions.to(vectors.device)


def farthest(vectors: Tensor, count: int) -> Tensor:
    """Positions of `count` vectors (N, C): the first, then always the one farthest from all chosen before it."""
    squares = vectors.square().sum(1)
    distance = torch.full_like(squares, torch.inf)
    chosen = [torch.zeros((), dtype=torch.int64, device=vectors.device)]
    for _ in range(min(count, len(vectors)) - 1):
        last = chosen[-1]
        distance = torch.minimum(distance, squares - 2 * vectors @ vectors[last] + squares[last])
        chosen.append(distance.argmax())
    return torch.stack(chosen)
