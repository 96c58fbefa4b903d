# SPDX-License-Identifier: Apache-2.0
"""Perlin noise on an unbounded lattice whose gradients are hashed, not stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch

from dssm.reference.philox import GRADIENT, SHAPE, integer, philox, uniform

Node = tuple[torch.Tensor, torch.Tensor]


def perlin(
    index: torch.Tensor,
    size: Sequence[int],
    seed: int,
    resolution: Sequence[int] = (0, 6),
    rotate: bool = True,
) -> torch.Tensor:
    """(B,) int64 -> (B, H, W) float32. Perlin, "Improving noise", SIGGRAPH 2002; paper, section III-A.

    A pixel lies at p = (u, v) of the lattice (`placement`), in the cell floor(p), at t = p - floor(p) of it.
    Each corner c of the cell contributes <g_c, t - c>, and the four are interpolated with the quintic fade
    f(t) = 6 t^5 - 15 t^4 + 10 t^3. The noise is that times sqrt(2): about [-1, 1]. t is exact, so float32
    backends agree to 1e-5 in whatever order they add.
    """
    height, width = size
    y = torch.arange(height, device=index.device).unsqueeze(1)
    x = torch.arange(width, device=index.device)
    out = torch.empty(len(index), height, width, dtype=torch.float32, device=index.device)
    places = placement(index, size, seed, resolution, rotate)
    for sample, place, plane in zip(index, places, out, strict=True):
        u, v = (axis[0] + axis[1] * y + axis[2] * x for axis in place)  # (H, W) each
        plane.copy_(_noise(u, v, partial(_gradient, seed, sample)))
    return out


def placement(
    index: torch.Tensor, size: Sequence[int], seed: int, resolution: Sequence[int], rotate: bool
) -> torch.Tensor:
    """(B, 2, 3) int64, (a, b, c) per axis of the lattice: pixel (y, x) lies at a + b y + c x.

    The units are 2^-32 cells: an integer sum is the same everywhere, and its high word is the cell. Draw 0 of
    the stream SHAPE gives the exponents of both axes in [lo, hi), and an angle in [-90, 90) degrees about the
    image centre. The angle turns pixels, not cells, so oblong images keep their shape; 2^k cells cover an
    axis of the image before the turn.
    """
    height, width = size
    row, column, turn, _ = philox(seed, index, SHAPE, 0)
    rows = torch.exp2(integer(row, *resolution).double()) / height  # cells per pixel
    columns = torch.exp2(integer(column, *resolution).double()) / width
    angle = (uniform(turn).double() - 0.5) * (math.pi if rotate else 0.0)
    cos, sin = angle.cos(), angle.sin()
    y, x = (1 - height) / 2, (1 - width) / 2  # the centre of pixel (0, 0), seen from the centre of the image
    u = torch.stack([cos * y - sin * x + height / 2, cos, -sin], -1) * rows.unsqueeze(-1)
    v = torch.stack([sin * y + cos * x + width / 2, sin, cos], -1) * columns.unsqueeze(-1)
    return (torch.stack([u, v], 1) * 2.0**32).round().long()


def _gradient(seed: int, index: torch.Tensor, i: torch.Tensor, j: torch.Tensor) -> Node:
    """The unit vector (rows, columns) of node (i, j): its angle is 2 pi uniform(word 0)."""
    word = philox(seed, index, GRADIENT, (i & 0xFFFF) << 16 | j & 0xFFFF)[0]
    angle = uniform(word).double() * (2 * math.pi)
    return angle.cos().float(), angle.sin().float()


def _noise(u: torch.Tensor, v: torch.Tensor, gradient: Callable[[torch.Tensor, torch.Tensor], Node]) -> torch.Tensor:
    """(H, W) positions in 2^-32 cells -> (H, W) noise."""
    i, j = u >> 32, v >> 32
    s, t = ((position >> 8 & 0xFFFFFF).float() * 2.0**-24 for position in (u, v))
    look_up = _tabulate(i, j, gradient)

    def corner(below: int, right: int) -> torch.Tensor:
        rows, columns = look_up(i + below, j + right)
        return rows * (s - below) + columns * (t - right)

    weight = _fade(t)
    upper = _lerp(corner(0, 0), corner(0, 1), weight)
    lower = _lerp(corner(1, 0), corner(1, 1), weight)
    return _lerp(upper, lower, _fade(s)) * math.sqrt(2)


def _tabulate(
    i: torch.Tensor, j: torch.Tensor, gradient: Callable[[torch.Tensor, torch.Tensor], Node]
) -> Callable[[torch.Tensor, torch.Tensor], Node]:
    """`gradient`, from a table of the nodes that the image covers unless they outnumber its pixels."""
    top, left = int(i.min()), int(j.min())
    height, width = int(i.max()) - top + 2, int(j.max()) - left + 2
    if height * width > 4 * i.numel():
        return gradient
    rows = torch.arange(top, top + height, device=i.device).unsqueeze(1)
    columns = torch.arange(left, left + width, device=i.device)
    table = gradient(rows, columns)

    def look_up(i: torch.Tensor, j: torch.Tensor) -> Node:
        at = (i - top) * width + (j - left)
        return table[0].take(at), table[1].take(at)

    return look_up


def _fade(t: torch.Tensor) -> torch.Tensor:
    return t * t * t * (t * (t * 6 - 15) + 10)


def _lerp(a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return a + weight * (b - a)
