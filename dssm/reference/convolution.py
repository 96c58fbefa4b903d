# SPDX-License-Identifier: Apache-2.0
"""A 3x3 convolution as torch computes it."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from dssm.layout import memory_format


def convolution(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W), (Cout, C, 3, 3) -> (B, Cout, H, W)."""
    return F.conv2d(x, weight, padding=1).contiguous(memory_format=memory_format(x))


def convolution_backward(grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> list[torch.Tensor]:
    """The gradients with respect to x and weight; what autograd would call, without the forward pass."""
    size, mask = [1, 1], [True, True, False]
    grads = torch.ops.aten.convolution_backward(grad, x, weight, None, size, size, size, False, [0, 0], 1, mask)
    return list(grads[:2])
