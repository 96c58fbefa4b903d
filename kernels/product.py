# SPDX-License-Identifier: Apache-2.0
"""How tiles are multiplied: the precision of tl.dot, and sides that tensor cores take and registers hold."""

from __future__ import annotations

import torch
import triton

from dssm.backends import INTERPRETED


def computed(dtype: torch.dtype) -> torch.dtype:
    """What products of a type are summed in."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def precision(dtype: torch.dtype, *, exact: bool = False) -> str:
    """How products of a type are made; one of tf32 for float32 only where torch allows it, and never if `exact`.

    Three of tf32 are about as exact as one of float32, and the tensor cores make them.
    """
    if INTERPRETED or dtype != torch.float32 or triton.runtime.driver.active.get_current_target().backend != "cuda":
        return "ieee"
    return "tf32" if _tf32_allowed() and not exact else "tf32x3"


def _tf32_allowed() -> bool:
    matmul = torch.backends.cuda.matmul
    # Where both exist, reading the old name raises once the new one was set.
    return matmul.fp32_precision == "tf32" if hasattr(matmul, "fp32_precision") else matmul.allow_tf32


def block(size: int, dtype: torch.dtype) -> int:
    """The side of a tile along an axis: what the registers hold, and no less than the 16 that a product takes."""
    return min(256 // max(4, dtype.itemsize), max(16, triton.next_power_of_2(size)))


def depth(size: int, dtype: torch.dtype) -> int:
    """How far a product goes along an axis at a time: 64 bytes."""
    return min(max(16, 64 // dtype.itemsize), block(size, dtype))
