# SPDX-License-Identifier: Apache-2.0
"""Scores counted by the bits of their float (csrc/cpu/histogram.cpp)."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib


def histogram(scores: torch.Tensor, weights: torch.Tensor, bins: torch.Tensor) -> None:
    """Update bins (3, 2^20) in place."""
    lib.histogram(array(scores), array(weights), array(bins))
