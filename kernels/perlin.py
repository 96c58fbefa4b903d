# SPDX-License-Identifier: Apache-2.0
"""Perlin noise, a few square tiles per program; the gradients of a tile's lattice nodes are hashed once."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.launch import launch, tiles
from dssm.kernels.philox import integer, philox, uniform
from dssm.reference.philox import GRADIENT, SHAPE

TILE = 32  # pixels, the side of a tile
BAND = 4  # tiles side by side, a program's work: they share the float64 arithmetic of their placement

_GRADIENT, _SHAPE = tl.constexpr(GRADIENT), tl.constexpr(SHAPE)
_PI, _SQRT2 = tl.constexpr(math.pi), tl.constexpr(math.sqrt(2))
_NODES = tl.constexpr(256)  # the most that are tabulated: a tile with more cells than that hashes per pixel


def perlin(index: Tensor, size: list[int], seed: int, resolution: list[int], rotate: bool) -> Tensor:
    """(B,) int64 -> (B, H, W) float32."""
    height, width = size
    out = torch.empty(len(index), height, width, dtype=torch.float32, device=index.device)
    launch(
        _perlin_fwd_kernel,
        len(index) * bands(height, width),
        *(index, out, index.stride(0), height, width, seed, *resolution),
        warps=8,
        fuse=True,
        ROTATE=rotate,
        BAND=BAND,
        TILE=TILE,
    )
    return out


def bands(height: int, width: int) -> int:
    """How many programs a plane takes."""
    return tiles(height, TILE) * tiles(width, BAND * TILE)


@triton.jit
def _perlin_fwd_kernel(
    p_index,
    p_out,
    s_index,
    height,
    width,
    seed,
    lo,
    hi,
    ROTATE: tl.constexpr,
    BAND: tl.constexpr,
    TILE: tl.constexpr,
):
    i_sample, top, left = band(height, width, BAND, TILE)
    index = tl.load(p_index + i_sample * s_index)
    u, v = placement(seed, index, height, width, lo, hi, ROTATE)
    place = tl.arange(0, TILE * TILE)
    y, x = top + place // TILE, left + place % TILE
    p_out += i_sample * height * width
    for _ in range(tl.minimum(BAND, tl.cdiv(width - left, TILE))):
        noise = tile_noise(seed, index, u, v, y, x, height, width)  # (TILE * TILE,)
        tl.store(p_out + y.to(tl.int64) * width + x, noise, mask=(y < height) & (x < width))
        x += TILE


@triton.jit
def band(height, width, BAND: tl.constexpr, TILE: tl.constexpr):
    """The program's sample, and the row and the column that its tiles begin at."""
    across = tl.cdiv(width, BAND * TILE)
    count = across * tl.cdiv(height, TILE)
    i_sample, i_band = (tl.program_id(0) // count).to(tl.int64), tl.program_id(0) % count
    return i_sample, i_band // across * TILE, i_band % across * (BAND * TILE)


@triton.jit
def placement(seed, index, height, width, lo, hi, ROTATE: tl.constexpr):
    """(a, b, c) of the rows and of the columns of the lattice: pixel (y, x) lies at a + b y + c x, in 2^-32 cells."""
    row, column, turn, _ = philox(seed, index, _SHAPE, 0)
    height, width = tl.cast(height, tl.float64), tl.cast(width, tl.float64)
    rows = (1 << integer(row, lo, hi)).to(tl.float64) / height * 4294967296
    columns = (1 << integer(column, lo, hi)).to(tl.float64) / width * 4294967296
    cos, sin = cosine_sine((uniform(turn).to(tl.float64) - 0.5) * (_PI if ROTATE else 0.0))
    y, x = (1 - height) * 0.5, (1 - width) * 0.5
    u = (cos * y - sin * x + height * 0.5) * rows, cos * rows, -sin * rows
    v = (sin * y + cos * x + width * 0.5) * columns, sin * columns, cos * columns
    return (nearest(u[0]), nearest(u[1]), nearest(u[2])), (nearest(v[0]), nearest(v[1]), nearest(v[2]))


@triton.jit
def nearest(x):
    """The nearest integer, int64, of float64 that are nowhere near a tie."""
    return tl.floor(x + 0.5).to(tl.int64)


@triton.jit
def cosine_sine(angle):
    """Both of an angle in [-pi / 2, pi / 2], float64 to 1e-14: Taylor series of half of it. No call, no table."""
    square = angle * angle * 0.25
    cos, sin = 1.0, 1.0
    for k in tl.static_range(7, 0, -1):
        cos = 1 - square * cos * (1 / (2 * k * (2 * k - 1)))
        sin = 1 - square * sin * (1 / (2 * k * (2 * k + 1)))
    sin *= angle * 0.5
    return 1 - 2 * sin * sin, 2 * sin * cos


@triton.jit
def tile_noise(seed, index, u, v, y, x, height, width):
    """The noise, float32, at the pixels (y, x) of a tile; behind the edges of the plane that of its last pixels."""
    y, x = tl.minimum(y, height - 1), tl.minimum(x, width - 1)
    at_u, at_v = u[0] + u[1] * y + u[2] * x, v[0] + v[1] * y + v[2] * x  # int64, 2^-32 cells
    i, j = (at_u >> 32).to(tl.int32), (at_v >> 32).to(tl.int32)
    s, t = _fraction(at_u), _fraction(at_v)
    top, left = tl.min(i), tl.min(j)
    rows, columns = tl.max(i) - top + 2, tl.max(j) - left + 2
    if rows.to(tl.int64) * columns <= _NODES:
        node = tl.arange(0, _NODES)
        table = _gradient(seed, index, top + node // columns, left + node % columns)
        at = (i - top) * columns + (j - left)
        a = _listed(table, at, s, t)
        b = _listed(table, at + 1, s, t - 1)
        c = _listed(table, at + columns, s - 1, t)
        d = _listed(table, at + columns + 1, s - 1, t - 1)
    else:
        a = _hashed(seed, index, i, j, s, t)
        b = _hashed(seed, index, i, j + 1, s, t - 1)
        c = _hashed(seed, index, i + 1, j, s - 1, t)
        d = _hashed(seed, index, i + 1, j + 1, s - 1, t - 1)
    weight = _fade(t)
    upper, lower = a + weight * (b - a), c + weight * (d - c)
    return (upper + _fade(s) * (lower - upper)) * _SQRT2


@triton.jit
def _fraction(position):
    return ((position >> 8).to(tl.int32) & 0xFFFFFF).to(tl.float32) * (1 / 16777216)


@triton.jit
def _fade(t):
    return t * t * t * (t * (t * 6 - 15) + 10)


@triton.jit
def _listed(table, at, s, t):
    """<gradient, offset> of the nodes at these places of the table."""
    return tl.gather(table[0], at, 0) * s + tl.gather(table[1], at, 0) * t


@triton.jit
def _hashed(seed, index, i, j, s, t):
    gradient = _gradient(seed, index, i, j)
    return gradient[0] * s + gradient[1] * t


@triton.jit
def _gradient(seed, index, i, j):
    """The unit vector (rows, columns) of node (i, j): its angle is 2 pi uniform(word 0)."""
    word = philox(seed, index, _GRADIENT, (i & 0xFFFF) << 16 | j & 0xFFFF)[0]
    turn = (word >> 8).to(tl.int32)  # in 2^-24
    quarter = (turn + 2097152) >> 22
    x = (turn - (quarter << 22)).to(tl.float32) * (_PI / 8388608)  # within pi / 4 of that quarter
    square = x * x
    sin = x * (1 - square * (1 / 6 - square * (1 / 120 - square * (1 / 5040 - square * (1 / 362880)))))
    cos = 1 - square * (1 / 2 - square * (1 / 24 - square * (1 / 720 - square * (1 / 40320))))
    odd = quarter & 1 != 0
    row, column = tl.where(odd, sin, cos), tl.where(odd, cos, sin)
    return tl.where((quarter + 1) & 2 != 0, -row, row), tl.where(quarter & 2 != 0, -column, column)
