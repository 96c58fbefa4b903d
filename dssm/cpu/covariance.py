# SPDX-License-Identifier: Apache-2.0
"""Means and scatters in one pass, half of each matrix (csrc/cpu/covariance.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads


def covariance(x: torch.Tensor, mean: torch.Tensor, scatter: torch.Tensor, count: int) -> None:
    """Update mean (*P, C) and scatter (*P, C, C) in place."""
    lib.covariance(array(x), array(mean), array(scatter), count, threads())
