# SPDX-License-Identifier: Apache-2.0
"""3x3 convolutions by Winograd's minimal filtering (csrc/cpu/convolution.cpp), where that is the faster way."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads
from dssm.layout import memory_format
from dssm.reference import convolution as reference

_PANEL = lib.convolution_panel()
_LEAST_TILES = 32  # below, carrying the weights to Winograd's points takes longer than the direct sum


def convolution(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W), (Cout, C, 3, 3) -> (B, Cout, H, W)."""
    if not _pays(x, weight):
        return reference.convolution(x, weight)
    out = _maps(x, weight.shape[0])
    lib.convolution(array(x), array(weight), array(out), threads())
    return out


def convolution_backward(grad: torch.Tensor, x: torch.Tensor, weight: torch.Tensor) -> list[torch.Tensor]:
    """The gradients with respect to x and weight."""
    if not _pays(x, weight):
        return reference.convolution_backward(grad, x, weight)
    grad = grad.contiguous(memory_format=torch.channels_last)
    grad_x, grad_weight = _maps(x, x.shape[1]), torch.empty_like(weight, memory_format=memory_format(weight))
    lib.convolution_backward_x(array(grad), array(weight), array(grad_x), threads())
    lib.convolution_backward_weight(array(grad), array(x), array(grad_weight), threads())
    return [grad_x, grad_weight]


def _pays(x: torch.Tensor, weight: torch.Tensor) -> bool:
    batch, channels, height, width = x.shape
    if x.dtype != torch.float32 or memory_format(x) != torch.channels_last:
        return False
    if channels % _PANEL or weight.shape[0] % _PANEL:
        return False
    rows, columns = -(-height // 4), -(-width // 4)
    # A tile costs 36 products however few of its 16 pixels lie in the map.
    return batch * rows * columns >= _LEAST_TILES and 16 * rows * columns <= 3 * height * width


def _maps(like: torch.Tensor, channels: int) -> torch.Tensor:
    size = (like.shape[0], channels, *like.shape[2:])
    return torch.empty(size, dtype=like.dtype, memory_format=torch.channels_last)
