# SPDX-License-Identifier: Apache-2.0
"""Largest connected component by union-find over runs: pack, unite, measure, keep, a launch each."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.errors import InputError
from dssm.kernels.component_runs import begin, keep, measure, pack, unite, unpack, words
from dssm.kernels.launch import launch, tiles

WORDS = 128  # of 32 pixels, per program


def component(mask: Tensor, connectivity: int) -> Tensor:
    """(B, H, W) bool -> (B, H, W) bool."""
    _, height, width = mask.shape
    out = torch.empty_like(mask, memory_format=torch.contiguous_format)
    word, parent, _, best = label(mask, connectivity)
    launch(_component_keep_fwd_kernel, programs(mask), word, parent, best, out, height, width, warps=8, WORDS=WORDS)
    return out


def label(mask: Tensor, connectivity: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The packed planes, a parent per node, which is its root, an area per root, and the best key of each plane."""
    batch, height, width = mask.shape
    word, parent, area = scratch(batch, height, width, mask.device)
    best = torch.empty(batch, dtype=torch.int64, device=mask.device)
    packed = mask, word, parent, area, best, height, width, *mask.stride()
    launch(_component_pack_fwd_kernel, programs(mask), *packed, WORDS=WORDS)
    united = word, parent, height, width
    launch(_component_unite_fwd_kernel, programs(mask), *united, CONNECTIVITY=connectivity, WORDS=WORDS)
    launch(_component_measure_fwd_kernel, programs(mask), word, parent, area, best, height, width, WORDS=WORDS)
    return word, parent, area, best


def programs(mask: Tensor) -> int:
    """How many programs walk through the words of (B, H, W)."""
    return mask.shape[0] * tiles(mask.shape[1] * tiles(mask.shape[2], 32), WORDS)


def scratch(batch: int, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Uninitialised words of the packed planes, and a parent and an area per node."""
    count = height * tiles(width, 32)
    if 32 * count >= 2**31:
        raise InputError(f'{height} x {width} pixels are too many for 32-bit labels: choose backend="reference"')
    word = torch.empty(batch, count, dtype=torch.uint32, device=device)
    parent, area = (torch.empty(batch, 16 * count, dtype=torch.int32, device=device) for _ in range(2))
    return word, parent, area


@triton.jit
def place(height, width, WORDS: tl.constexpr):
    """The program's sample, its first word, and how many words a row and a plane are."""
    pitch = tl.cdiv(width, 32)
    count = height * pitch
    programs = tl.cdiv(count, WORDS)
    return (tl.program_id(0) // programs).to(tl.int64), tl.program_id(0) % programs * WORDS, pitch, count


@triton.jit
def _component_pack_fwd_kernel(
    p_mask, p_word, p_parent, p_area, p_best, height, width, s_mask_b, s_mask_y, s_mask_x, WORDS: tl.constexpr
):
    i_sample, first, pitch, count = place(height, width, WORDS)
    i_word, m_word, y, x = words(first, count, pitch, WORDS)
    p_mask += i_sample * s_mask_b + y * s_mask_y + x.to(tl.int64) * s_mask_x
    word = pack(tl.load(p_mask, mask=m_word[:, None] & (x < width), other=0) != 0)  # (WORDS,)
    tl.store(p_word + i_sample * count + i_word, word, mask=m_word)
    begin(p_parent + i_sample * count * 16, p_area + i_sample * count * 16, i_word, word)
    if first == 0:
        tl.store(p_best + i_sample, tl.cast(0, tl.int64))


@triton.jit
def _component_unite_fwd_kernel(p_word, p_parent, height, width, CONNECTIVITY: tl.constexpr, WORDS: tl.constexpr):
    i_sample, first, pitch, count = place(height, width, WORDS)
    i_word, m_word, _, _ = words(first, count, pitch, WORDS)
    p_word += i_sample * count
    unite(p_word, p_parent + i_sample * count * 16, i_word, m_word, pitch, CONNECTIVITY)


@triton.jit
def _component_measure_fwd_kernel(p_word, p_parent, p_area, p_best, height, width, WORDS: tl.constexpr):
    i_sample, first, pitch, count = place(height, width, WORDS)
    i_word, m_word, _, _ = words(first, count, pitch, WORDS)
    word = tl.load(p_word + i_sample * count + i_word, mask=m_word, other=0)
    key = measure(p_parent + i_sample * count * 16, p_area + i_sample * count * 16, i_word, word)
    tl.atomic_max(p_best + i_sample, key, sem="relaxed")


@triton.jit
def _component_keep_fwd_kernel(p_word, p_parent, p_best, p_out, height, width, WORDS: tl.constexpr):
    i_sample, first, pitch, count = place(height, width, WORDS)
    i_word, m_word, y, x = words(first, count, pitch, WORDS)
    word = tl.load(p_word + i_sample * count + i_word, mask=m_word, other=0)
    word = keep(p_parent + i_sample * count * 16, i_word, word, tl.load(p_best + i_sample))
    tl.store(p_out + (i_sample * height + y) * width + x, unpack(word), mask=m_word[:, None] & (x < width))
