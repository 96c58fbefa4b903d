# SPDX-License-Identifier: Apache-2.0
"""What the makers' data sheets say of some GPUs: dense peaks without sparsity, at boost clock."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GPU:
    """Peak bandwidth in bytes/s, and operations/s by what computes them; where tensor cores lack a dtype, others do."""

    target: str
    bandwidth: float
    float32: float
    float64: float
    tf32: float
    half: float


GPUS = {
    "T4": GPU("sm_75", 320e9, 8.1e12, 0.253e12, 8.1e12, 65e12),
    "A100 80 GB SXM": GPU("sm_80", 2039e9, 19.5e12, 9.7e12, 156e12, 312e12),
    "RTX 4090": GPU("sm_89", 1008e9, 82.6e12, 1.29e12, 82.6e12, 165.2e12),
    "H100 SXM": GPU("sm_90", 3350e9, 66.9e12, 33.5e12, 494.7e12, 989.4e12),
    "MI300X": GPU("gfx942", 5300e9, 163.4e12, 81.7e12, 653.7e12, 1307.4e12),
}
