# SPDX-License-Identifier: Apache-2.0
"""Philox 4x32-10 within a kernel: the words of dssm/reference/philox.py, and what is made of them."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def philox(seed, index, stream, draw):
    """Four random words, uint32, of an int64 sample index, in the shape of `draw`."""
    low, high = index.to(tl.uint32), (index >> 32).to(tl.uint32)
    return tl.philox(seed, low, high, tl.cast(stream, tl.uint32), tl.cast(draw, tl.uint32))


@triton.jit
def uniform(word):
    """A multiple of 2^-24 in [0, 1), float32, exact."""
    return (word >> 8).to(tl.int32).to(tl.float32) * (1 / 16777216)


@triton.jit
def integer(word, lo, hi):
    """An integer in [lo, hi), int64."""
    return lo + ((word.to(tl.int64) * (hi - lo)) >> 32)
