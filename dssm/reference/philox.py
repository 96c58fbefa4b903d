# SPDX-License-Identifier: Apache-2.0
"""Philox 4x32-10: random numbers as a pure function of (seed, sample index, stream, draw).

Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011. Nothing is carried from
one number to the next, so what happens to a sample does not depend on its batch, nor on the order, thread or
device that works on it.
"""

from __future__ import annotations

import torch

# One stream per purpose; draws of different streams never share a counter.
GRADIENT, SHAPE, PASTE, AUGMENT, KIND, SOURCE, WINDOW, METHOD = 0, 1, 2, 3, 5, 6, 7, 8

_ROUNDS = 10
_MASK = 0xFFFFFFFF
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_WEYL = 0x9E3779B9, 0xBB67AE85

Words = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def philox(seed: int, index: torch.Tensor, stream: int, draw: torch.Tensor | int) -> Words:
    """Four random words, int64 tensors that hold uint32, of the shape that `index` and `draw` broadcast to.

    The key is (seed mod 2^32, seed div 2^32), the counter (index mod 2^32, index div 2^32, stream, draw).
    """
    words: Words = (
        index & _MASK,
        index >> 32 & _MASK,
        torch.full_like(index, stream),
        torch.as_tensor(draw, device=index.device),
    )
    key = seed & _MASK, seed >> 32 & _MASK
    for _ in range(_ROUNDS):
        words = _round(words, key)
        key = (key[0] + _WEYL[0]) & _MASK, (key[1] + _WEYL[1]) & _MASK
    shape = torch.broadcast_shapes(index.shape, words[0].shape, words[2].shape)
    a, b, c, d = (word.expand(shape) for word in words)
    return a, b, c, d


def _round(words: Words, key: tuple[int, int]) -> Words:
    high0, low0 = _multiply(words[0], _MULTIPLIERS[0])
    high1, low1 = _multiply(words[2], _MULTIPLIERS[1])
    return high1 ^ words[1] ^ key[0], low1, high0 ^ words[3] ^ key[1], low0


def _multiply(word: torch.Tensor, factor: int) -> tuple[torch.Tensor, torch.Tensor]:
    """High and low half of a 32 x 32 bit product; the factor is split so that no int64 overflows."""
    low = word * (factor & 0xFFFF)
    high = word * (factor >> 16) + (low >> 16)
    return high >> 16, (high & 0xFFFF) << 16 | low & 0xFFFF


def uniform(word: torch.Tensor) -> torch.Tensor:
    """A multiple of 2^-24 in [0, 1), float32, exact."""
    return (word >> 8).float() * 2.0**-24


def integer(word: torch.Tensor, lo: int | torch.Tensor, hi: int | torch.Tensor) -> torch.Tensor:
    """An integer in [lo, hi), int64: lo + floor(word (hi - lo) / 2^32). Exact while hi - lo <= 2^31."""
    return lo + (word * (hi - lo) >> 32)
