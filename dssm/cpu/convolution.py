# SPDX-License-Identifier: Apache-2.0
"""Convolutions by kernels of our own (csrc/cpu/convolution*.cpp), where those are the faster way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

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


@dataclass
class Winograd:
    """The 3x3 convolution of stride 1, with weights that stay; `points` are theirs, or None if not worth keeping."""

    weight: torch.Tensor
    bias: torch.Tensor
    points: torch.Tensor | None

    @classmethod
    def of(cls, weight: torch.Tensor, bias: torch.Tensor) -> Winograd | None:
        """None where torch's convolution is always faster."""
        outputs, inputs = weight.shape[:2]
        if inputs % _PANEL or outputs % _PANEL:
            return None
        counts = [_values(weight, tile) for tile in (4, 2) if _values(weight, tile) <= _KEPT]
        points = torch.empty(counts[0]) if counts else None
        if points is not None:
            lib.convolution_prepare(array(weight), array(points), threads())
        return cls(weight, bias, points)

    def __call__(self, x: torch.Tensor, added: torch.Tensor | None, low: float, high: float) -> torch.Tensor | None:
        points, tile = self.points, 4
        if points is not None and points.numel() == _values(self.weight, 2):
            points, tile = (points, 2) if _tiles(x, 2) <= _MOST_SMALL else (None, 4)
        if not _pays(x, self.weight, tile, _LEAST_TILES if points is None else _LEAST_PREPARED[tile]):
            return None
        out = _maps(x, self.weight.shape[0])
        added = _channels_last(added)
        tensors = map(array, (x, self.weight, points, self.bias, added))
        lib.convolution_fused(*tensors, low, high, array(out), threads())
        return out


@dataclass
class Depthwise:
    """Every channel alone: `taps` (k, k, C)."""

    taps: torch.Tensor
    bias: torch.Tensor
    stride: int
    sides: tuple[int, ...]  # zeros at the left, right, top and bottom

    @classmethod
    def of(cls, weight: torch.Tensor, bias: torch.Tensor, stride: int, sides: tuple[int, ...]) -> Depthwise | None:
        """None for what the kernel does not take."""
        if len(weight) % (_PANEL // 2) or weight.shape[2] not in (3, 5) or stride not in (1, 2):
            return None
        return cls(weight[:, 0].permute(1, 2, 0).contiguous(), bias, stride, sides)

    def __call__(self, x: torch.Tensor, added: torch.Tensor | None, low: float, high: float) -> torch.Tensor | None:
        if added is not None or not _takes(x):
            return None
        left, right, top, bottom = self.sides
        side = len(self.taps)
        height, width = (
            (size + both - side) // self.stride + 1
            for size, both in ((x.shape[2], top + bottom), (x.shape[3], left + right))
        )
        out = _maps(x, x.shape[1], (height, width))
        lib.convolution_depthwise(
            *map(array, (x, self.taps, self.bias)), self.stride, top, left, low, high, array(out), threads()
        )
        return out


@dataclass
class Pointwise:
    """1x1: `panels` (outputs / panel, inputs, panel) and `bias`, filled up with zeros."""

    panels: torch.Tensor
    bias: torch.Tensor
    outputs: int

    @classmethod
    def of(cls, weight: torch.Tensor, bias: torch.Tensor) -> Pointwise:
        """Of a weight (Cout, C, 1, 1)."""
        outputs, inputs = weight.shape[:2]
        spare = -outputs % _PANEL
        rows = F.pad(weight.flatten(1), (0, 0, 0, spare))
        return cls(rows.view(-1, _PANEL, inputs).mT.contiguous(), F.pad(bias, (0, spare)), outputs)

    def __call__(self, x: torch.Tensor, added: torch.Tensor | None, low: float, high: float) -> torch.Tensor | None:
        if not _takes(x):
            return None
        out = _maps(x, self.outputs)
        added = _channels_last(added)
        lib.convolution_pointwise(*map(array, (x, self.panels, self.bias, added)), low, high, array(out), threads())
        return out


def fixed(
    weight: torch.Tensor, bias: torch.Tensor, stride: int, sides: tuple[int, ...], groups: int
) -> Winograd | Depthwise | Pointwise | None:
    """A convolution of channels_last maps whose weight (Cout, C / groups, k, k) stays and that needs no gradient.

    `sides` are the zeros at the left, right, top and bottom. What it returns computes
    clamp(convolution + bias + added, low, high) of (x, added, low, high), or None where torch's convolution is faster;
    None stands for one that always is.
    """
    outputs, inputs, side, width = weight.shape
    if weight.dtype != torch.float32 or side != width:
        return None
    if groups == outputs and inputs == 1:
        return Depthwise.of(weight, bias, stride, sides)
    if groups != 1 or stride != 1:
        return None
    if side == 1 and not any(sides):
        return Pointwise.of(weight, bias)
    return Winograd.of(weight, bias) if side == 3 and set(sides) == {1} else None


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
    if not _takes(x):
        return False
    if channels % _PANEL or weight.shape[0] % _PANEL:
        return False
    tiles = _tiles(x, tile)
    # A tile costs as many products however few of its pixels lie in the map.
    return tiles >= least and tile**2 * tiles <= 3 * batch * height * width


def _takes(x: torch.Tensor) -> bool:
    return x.dtype == torch.float32 and memory_format(x) == torch.channels_last


def _channels_last(x: torch.Tensor | None) -> torch.Tensor | None:
    return None if x is None else x.contiguous(memory_format=torch.channels_last)


def _maps(like: torch.Tensor, channels: int, size: tuple[int, int] | None = None) -> torch.Tensor:
    shape = (like.shape[0], channels, *(size or like.shape[2:]))
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)
