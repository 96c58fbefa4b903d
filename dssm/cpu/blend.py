# SPDX-License-Identifier: Apache-2.0
"""Equation 3 and its gradients over strided images (csrc/cpu/blend.cpp)."""

from __future__ import annotations

import torch
from torch import Tensor

from dssm.cpu import array, lib, threads


def blend(image: Tensor, source: Tensor, mask: Tensor, alpha: Tensor) -> Tensor:
    """(B, C, H, W) and (B, H, W) -> (B, C, H, W), contiguous."""
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    lib.blend(array(image), array(source), array(mask), array(alpha), array(out), threads())
    return out


def blend_backward(grad: Tensor, image: Tensor, source: Tensor, mask: Tensor, alpha: Tensor) -> list[Tensor]:
    """Gradients of image, source and alpha; that of alpha is added in float64."""
    grads = [torch.empty_like(image, memory_format=torch.contiguous_format) for _ in range(2)]
    grad_alpha = torch.empty(alpha.shape, dtype=torch.float64)
    lib.blend_backward(*map(array, (grad, image, source, mask, alpha, *grads, grad_alpha)), threads())
    return [*grads, grad_alpha.to(alpha.dtype)]
