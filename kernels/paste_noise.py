# SPDX-License-Identifier: Apache-2.0
"""The masks of noise: the noise of a batch's noisy samples, and the largest component above a level of it."""

from __future__ import annotations

import triton
import triton.language as tl

from dssm.kernels.component_runs import area_of, begin, measure, pack, unite, words
from dssm.kernels.perlin import band, placement, tile_noise
from dssm.reference.paste import NOISE, STEPS

_NOISE = tl.constexpr(NOISE)
_PASSES = tl.constexpr(STEPS + 1)


@triton.jit
def _paste_noise_fwd_kernel(
    p_index,
    p_kind,
    p_noise,
    p_word,
    p_peak,
    s_index,
    s_kind,
    height,
    width,
    seed,
    lo,
    hi,
    threshold,
    BAND: tl.constexpr,
    TILE: tl.constexpr,
):
    """Noise, the bits noise > threshold, and the greatest noise of each program; nothing for samples without noise."""
    i_sample, top, left = band(height, width, BAND, TILE)
    if tl.load(p_kind + i_sample * s_kind) == _NOISE:
        index = tl.load(p_index + i_sample * s_index)
        u, v = placement(seed, index, height, width, lo, hi, True)
        place = tl.arange(0, TILE * TILE)
        y, x = top + place // TILE, left + place % TILE
        row, pitch = top + tl.arange(0, TILE), tl.cdiv(width, TILE)
        p_row = p_noise + i_sample * height * width + y.to(tl.int64) * width
        p_words = p_word + (i_sample * height + row) * pitch + left // TILE
        peak = tl.full((), float("-inf"), tl.float32)
        for _ in range(tl.minimum(BAND, tl.cdiv(width - left, TILE))):
            noise = tile_noise(seed, index, u, v, y, x, height, width)  # (TILE * TILE,)
            m_pixel = (y < height) & (x < width)
            tl.store(p_row + x, noise, mask=m_pixel)
            word = pack(tl.reshape(m_pixel & (noise > threshold), (TILE, TILE)))  # (TILE,)
            tl.store(p_words, word, mask=row < height)
            peak = tl.maximum(peak, tl.max(tl.where(m_pixel, noise, float("-inf"))))
            x += TILE
            p_words += 1
        tl.store(p_peak + tl.program_id(0), peak)


@triton.jit
def peak_of(p_peak, count, BLOCK: tl.constexpr):
    """The greatest of `count` values."""
    peak = tl.full((), float("-inf"), tl.float32)
    for first in range(0, count, BLOCK):
        i_peak = first + tl.arange(0, BLOCK)
        peak = tl.maximum(peak, tl.max(tl.load(p_peak + i_peak, mask=i_peak < count, other=float("-inf"))))
    return peak


@triton.jit
def search(
    p_noise,
    p_word,
    p_parent,
    p_area,
    peak,
    bounds,
    height,
    width,
    CONNECTIVITY: tl.constexpr,
    WORDS: tl.constexpr,
):
    """The key of the largest component above the level that `noise_mask` of the reference finds.

    bounds: the threshold, the least and the most pixels. The words are those of the threshold when this begins, and
    those of that level when it ends.
    """
    threshold, least, most = bounds
    pitch = tl.cdiv(width, 32)
    current = peak > threshold  # whether the words are those of the level
    level = tl.where(current, threshold, peak - 0.1 * tl.abs(peak))
    risen = tl.full((), 0, tl.int1)
    key = tl.full((), 0, tl.int64)
    passes = tl.full((), _PASSES, tl.int32)
    while passes > 0:
        if not current:
            _threshold(p_noise, p_word, level, peak, height, width, WORDS // 8)
        key = _largest(p_word, p_parent, p_area, height * pitch, pitch, CONNECTIVITY, WORDS)
        large = area_of(key) > most
        small = (area_of(key) < least) & (not risen)
        risen = risen | large
        level = tl.where(large, level + (peak - level) * 0.25, tl.where(small, level - 0.05, level))
        current = not (large | small)
        passes = tl.where(current, 0, passes - 1)
    return key


@triton.jit
def _threshold(p_noise, p_word, level, peak, height, width, WORDS: tl.constexpr):
    """The words of noise > level, to which the peak itself always belongs."""
    pitch = tl.cdiv(width, 32)
    tl.debug_barrier()  # the last words have been read
    for first in range(0, height * pitch, WORDS):
        i_word, m_word, y, x = words(first, height * pitch, pitch, WORDS)
        m_pixel = m_word[:, None] & (x < width)
        noise = tl.load(p_noise + y * width + x, mask=m_pixel, other=float("-inf"))
        tl.store(p_word + i_word, pack(m_pixel & ((noise > level) | (noise >= peak))), mask=m_word)


@triton.jit
def _largest(p_word, p_parent, p_area, count, pitch, CONNECTIVITY: tl.constexpr, WORDS: tl.constexpr):
    """The key of the largest component of a plane, by one program."""
    tl.debug_barrier()  # the words have been written
    for first in range(0, count, WORDS):
        i_word, m_word, _, _ = words(first, count, pitch, WORDS)
        begin(p_parent, p_area, i_word, tl.load(p_word + i_word, mask=m_word, other=0))
    tl.debug_barrier()
    for first in range(0, count, WORDS):
        i_word, m_word, _, _ = words(first, count, pitch, WORDS)
        unite(p_word, p_parent, i_word, m_word, pitch, CONNECTIVITY)
    tl.debug_barrier()
    key = tl.full((), 0, tl.int64)
    for first in range(0, count, WORDS):
        i_word, m_word, _, _ = words(first, count, pitch, WORDS)
        word = tl.load(p_word + i_word, mask=m_word, other=0)
        key = tl.maximum(key, measure(p_parent, p_area, i_word, word))
    tl.debug_barrier()
    return key
