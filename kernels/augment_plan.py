# SPDX-License-Identifier: Apache-2.0
"""Which operations an image gets, in which order and how strongly, drawn from Philox."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.launch import launch, tiles
from dssm.kernels.philox import integer, philox
from dssm.reference.philox import AUGMENT

_AUGMENT = tl.constexpr(AUGMENT)
_BLOCK = 128  # samples


def plan(index: Tensor, seed: int, count: int) -> Tensor:
    """(B,) -> (B, count, 2) int32: the number of each operation in the reference's OPERATIONS, and its magnitude."""
    steps = torch.empty(len(index), count, 2, dtype=torch.int32, device=index.device)
    launch(
        _augment_plan_fwd_kernel,
        tiles(len(index), _BLOCK) if count else 0,
        *(index, steps, seed, len(index), count, index.stride(0)),
        BLOCK=_BLOCK,
    )
    return steps


@triton.jit(do_not_specialize=["seed"])
def _augment_plan_fwd_kernel(p_index, p_steps, seed, samples, count, s_index, BLOCK: tl.constexpr):
    sample = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    m_sample = sample < samples
    index = tl.load(p_index + sample * s_index, mask=m_sample, other=0)
    order = tl.full((BLOCK,), 0x543210, tl.int32)  # operations in the order of their steps, four bits each
    position = tl.zeros((BLOCK,), tl.int32)
    p_steps += sample * count * 2
    for _ in range(count):
        pick, strength, _, _ = philox(seed, index, _AUGMENT, position)
        other = integer(pick, position, 6).to(tl.int32)
        change = (order >> 4 * position ^ order >> 4 * other) & 15
        order ^= change << 4 * position | change << 4 * other
        number = order >> 4 * position & 15
        # The ranges of the reference.
        least = tl.where(number == 0, 0, tl.where(number == 1, 4, tl.where(number == 2, 32, 26)))
        most = tl.where(number == 0, 1, tl.where(number == 1, 8, tl.where(number == 2, 224, 487)))
        tl.store(p_steps, number, mask=m_sample)
        tl.store(p_steps + 1, integer(strength, least, most).to(tl.int32), mask=m_sample)
        p_steps += 2
        position += 1
