# SPDX-License-Identifier: Apache-2.0
"""1 / area of every connected region, by the union-find of `component`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.component import WORDS, label, place, programs
from dssm.kernels.component_runs import first_run, unpack, words
from dssm.kernels.launch import launch


def region(mask: Tensor) -> Tensor:
    """(B, H, W) bool -> (B, H, W) float64."""
    _, height, width = mask.shape
    out = torch.empty(mask.shape, dtype=torch.float64, device=mask.device)
    word, parent, area, _ = label(mask, 8)
    launch(_region_fwd_kernel, programs(mask), word, parent, area, out, height, width, WORDS=WORDS)
    return out


@triton.jit
def _region_fwd_kernel(p_word, p_parent, p_area, p_out, height, width, WORDS: tl.constexpr):
    i_sample, first, pitch, count = place(height, width, WORDS)
    i_word, m_word, y, x = words(first, count, pitch, WORDS)
    word = tl.load(p_word + i_sample * count + i_word, mask=m_word, other=0)
    p_parent += i_sample * count * 16
    p_area += i_sample * count * 16
    node = i_word * 16
    weight = tl.zeros((WORDS, 32), tl.float64)
    while tl.max(word) != 0:
        m_run, run = word != 0, first_run(word)
        root = tl.load(p_parent + node, mask=m_run, other=0)
        area = tl.load(p_area + root, mask=m_run, other=1)
        weight = tl.where(unpack(run), (1 / area.to(tl.float64))[:, None], weight)
        word = word & ~run
        node += 1
    tl.store(p_out + (i_sample * height + y) * width + x, weight, mask=m_word[:, None] & (x < width))
