# SPDX-License-Identifier: Apache-2.0
"""The time that no code goes below, measured on this machine in the same run."""

from __future__ import annotations

from collections.abc import Callable

import torch


def memcpy(moved: int) -> Callable[[], object]:
    """Moves `moved` bytes, reads and writes added up: a copy of half as many."""
    source, target = (torch.zeros(max(moved // 2, 1), dtype=torch.uint8) for _ in range(2))
    return lambda: target.copy_(source)


def multiply_adds(count: float, dtype: torch.dtype = torch.float32) -> Callable[[], object]:
    """A matrix product of about `count` multiply-adds in the BLAS, which comes near the peak of the processor."""
    side = 1024
    rows = max(round(count / side**2), 1)
    left, right = torch.ones(rows, side, dtype=dtype), torch.ones(side, side, dtype=dtype)
    out = torch.empty(rows, side, dtype=dtype)
    return lambda: torch.mm(left, right, out=out)


def size(*tensors: torch.Tensor) -> int:
    """Their bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
