# SPDX-License-Identifier: Apache-2.0
"""3x3 convolutions by Winograd's minimal filtering (csrc/cpu/convolution.cpp), where that is the faster way."""

from __future__ import annotations

import torch

from dssm.cpu import array, lib, threads
from dssm.layout import memory_format
from dssm.reference import convolution as reference

_PANEL = lib.convolution_panel()
_LEAST_TILES = 32  # below, carrying the weights to Winograd's points takes longer than the direct sum
_LEAST_PREPARED = {4: 12, 2: 8}  # the same for weights that are there already, by the side of a tile
_MOST_SMALL = 384  # tiles of 2x2 beyond which making the weights for tiles of 4x4 is worth it
_KEPT = 2**22  # values at the points at most: more are read no faster than they are made


def convolution(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W), (Cout, C, 3, 3) -> (B, Cout, H, W)."""
    if not _pays(x, weight):
        return reference.convolution(x, weight)
    out = _maps(x, weight.shape[0])
    lib.convolution(array(x), array(weight), array(out), threads())
    return out


def prepare(weight: torch.Tensor) -> torch.Tensor | None:
    """What `fused` needs of weights (Cout, C, 3, 3) that stay; None for those that are not worth keeping."""
    outputs, inputs = weight.shape[:2]
    counts = [_values(weight, tile) for tile in (4, 2) if _values(weight, tile) <= _KEPT]
    if weight.dtype != torch.float32 or inputs % _PANEL or outputs % _PANEL or not counts:
        return None
    points = torch.empty(counts[0])
    lib.convolution_prepare(array(weight), array(points), threads())
    return points


def fused(
    x: torch.Tensor,
    weight: torch.Tensor,
    points: torch.Tensor | None,
    bias: torch.Tensor,
    added: torch.Tensor | None,
    relu: bool,
) -> torch.Tensor | None:
    """relu(convolution + bias + added) without gradient; None where torch's convolution is faster.

    `points` is what `prepare` made of the weight.
    """
    tile = 2 if points is not None and points.numel() == _values(weight, 2) else 4
    if tile == 2 and _tiles(x, tile) > _MOST_SMALL:
        points, tile = None, 4
    if not _pays(x, weight, tile, _LEAST_TILES if points is None else _LEAST_PREPARED[tile]):
        return None
    out = _maps(x, weight.shape[0])
    if added is not None:
        added = added.contiguous(memory_format=torch.channels_last)
    lib.convolution_fused(*map(array, (x, weight, points, bias, added)), relu, array(out), threads())
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


def _values(weight: torch.Tensor, tile: int) -> int:
    """How many values the weight has at the points of tiles of such a side."""
    return (tile + 2) ** 2 * weight.shape[0] * weight.shape[1]


def _tiles(x: torch.Tensor, tile: int) -> int:
    return x.shape[0] * -(-x.shape[2] // tile) * -(-x.shape[3] // tile)


def _pays(x: torch.Tensor, weight: torch.Tensor, tile: int = 4, least: int = _LEAST_TILES) -> bool:
    batch, channels, height, width = x.shape
    if x.dtype != torch.float32 or memory_format(x) != torch.channels_last:
        return False
    if channels % _PANEL or weight.shape[0] % _PANEL:
        return False
    tiles = _tiles(x, tile)
    # A tile costs as many products however few of its pixels lie in the map.
    return tiles >= least and tile**2 * tiles <= 3 * batch * height * width


def _maps(like: torch.Tensor, channels: int) -> torch.Tensor:
    size = (like.shape[0], channels, *like.shape[2:])
    return torch.empty(size, dtype=like.dtype, memory_format=torch.channels_last)
