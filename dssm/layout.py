# SPDX-License-Identifier: Apache-2.0
"""How images and feature maps lie in memory."""

from __future__ import annotations

import torch


def memory_format(x: torch.Tensor) -> torch.memory_format:
    """channels_last if x is, else contiguous. Maps of one channel are both and count as contiguous."""
    if x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        return torch.channels_last
    return torch.contiguous_format
