# SPDX-License-Identifier: Apache-2.0
"""Ranks by radix sort (csrc/cpu/rank.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib


def rank(scores: torch.Tensor, among: torch.Tensor, where: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """(N,) among (M,) -> (N,), (N,)."""
    above = torch.empty(scores.shape, dtype=torch.int64)
    tied = torch.empty_like(above)
    lib.rank(array(scores), array(among), array(where), array(above), array(tied))
    return above, tied
