# SPDX-License-Identifier: Apache-2.0
"""What pixels vote for: the one bin that holds their angle (scikit-image), or the two nearest ones (OpenCV)."""

from __future__ import annotations

import math

import triton
import triton.language as tl

# OpenCV's arc tangent on [0, 1]: an odd polynomial, 1.7e-4 radians off at most.
_A0: tl.constexpr = tl.constexpr(0.9997878412794807)
_A1: tl.constexpr = tl.constexpr(-0.3258083974640975)
_A2: tl.constexpr = tl.constexpr(0.1555786518463281)
_A3: tl.constexpr = tl.constexpr(-0.04432655554792128)
_PI: tl.constexpr = tl.constexpr(math.pi)


@triton.constexpr_function
def _cos(i: int, bins: int) -> float:
    return {bins: 1, 2 * bins: 0, 3 * bins: -1}.get(4 * i, math.cos(math.pi * i / bins))


@triton.constexpr_function
def _sin(i: int, bins: int) -> float:
    return 1 if 4 * i in (bins, 2 * bins, 3 * bins) else math.sin(math.pi * i / bins)


@triton.jit
def _reached(dy, dx, i: tl.constexpr, BINS: tl.constexpr):
    """Whether an angle of the upper half plane has reached edge i; the edge is scaled to be exact on diagonals."""
    COS: tl.constexpr = _cos(i, BINS)
    SIN: tl.constexpr = _sin(i, BINS)
    if COS == 0:
        return dx <= 0  # an infinite dy times 0 would be NaN
    else:
        return dy * COS >= dx * SIN


@triton.jit
def hard_bins(dy, dx, BINS: tl.constexpr):
    """The bin i whose [i, i + 1) * 180 / BINS degrees hold the unsigned angle: the number of edges that it reached."""
    lower = (dy < 0) | ((dy == 0) & (dx < 0))
    dy, dx = tl.where(lower, -dy, dy), tl.where(lower, -dx, dx)
    bins = tl.zeros(dy.shape, tl.int32)
    for i in tl.static_range(1, BINS):
        bins += _reached(dy, dx, i, BINS).to(tl.int32)
    return bins


@triton.jit
def shared_votes(dy, dx, magnitude, BINS: tl.constexpr):
    """The two bins whose centres enclose the unsigned angle, and how they share the magnitude."""
    ax, ay = tl.abs(dx), tl.abs(dy)
    longest = tl.maximum(ax, ay)
    ratio = tl.minimum(ax, ay) / tl.where(longest == 0, 1, longest)
    power = ratio * ratio
    angle = ratio * (_A0 + power * (_A1 + power * (_A2 + power * _A3)))
    angle = tl.where(ay > ax, _PI / 2 - angle, angle)
    angle = tl.where(dy * dx < 0, _PI - angle, angle)
    position = angle * (BINS / _PI) - 0.5
    floor = tl.floor(position)
    to_upper = magnitude * (position - floor)
    lower = tl.where(floor >= 0, floor, BINS - 1).to(tl.int32)  # a NaN has no bin, but a vote
    return lower, tl.where(lower == BINS - 1, 0, lower + 1), magnitude - to_upper, to_upper


@triton.jit
def shared_votes_backward(dy, dx, magnitude, by_lower, by_upper, BINS: tl.constexpr):
    """The gradient of dy and dx, `by_lower` and `by_upper` being what votes for the two bins are worth."""
    _, _, _, to_upper = shared_votes(dy, dx, magnitude, BINS)
    ax, ay = tl.abs(dx), tl.abs(dy)
    longest = tl.where(magnitude == 0, 1, tl.maximum(ax, ay))
    length = tl.where(magnitude == 0, 1, magnitude)
    ratio = tl.minimum(ax, ay) / longest
    power = ratio * ratio
    slope = _A0 + power * (3 * _A1 + power * (5 * _A2 + power * 7 * _A3))
    by_ratio = magnitude * (by_upper - by_lower) * (BINS / _PI) * slope / longest
    by_ratio = tl.where((ay > ax) == (dy * dx < 0), by_ratio, -by_ratio)
    by_ratio = tl.where(ay == ax, 0, by_ratio)  # the shorter over the longer: of equal ones neither changes it
    by_ay = tl.where(ay > ax, -by_ratio * ratio, by_ratio)
    by_ax = tl.where(ay > ax, by_ratio, -by_ratio * ratio)
    pull = (by_lower + (by_upper - by_lower) * to_upper / length) / length
    back_y = dy * pull + tl.where(dy > 0, by_ay, tl.where(dy < 0, -by_ay, 0))
    back_x = dx * pull + tl.where(dx > 0, by_ax, tl.where(dx < 0, -by_ax, 0))
    return tl.where(magnitude == 0, 0, back_y), tl.where(magnitude == 0, 0, back_x)


@triton.jit
def window(place, target, AXIS: tl.constexpr, CELL: tl.constexpr, BLOCK: tl.constexpr, REAL: tl.constexpr):
    """OpenCV's weight of a block's pixels for its cell `target` along one axis, hat x Gaussian."""
    hat = 1 - tl.abs((place.to(REAL) + 0.5) / CELL[AXIS] - 0.5 - target)
    away = place.to(REAL) - BLOCK[AXIS] * CELL[AXIS] / 2
    SIGMA: tl.constexpr = (BLOCK[0] * CELL[0] + BLOCK[1] * CELL[1]) / 8
    return tl.maximum(hat, 0) * tl.exp(-away * away / (2 * SIGMA * SIGMA))


@triton.jit
def roles(place, AXIS: tl.constexpr, CELL: tl.constexpr, BLOCK: tl.constexpr, REAL: tl.constexpr):
    """Roles of a cell in the blocks around it, and the weights (N, roles) of its pixels along one axis.

    Role target * BLOCK + i is that of the block's cell i, which votes for the block's cell `target`.
    """
    COUNT: tl.constexpr = BLOCK[AXIS]
    role = tl.arange(0, triton.next_power_of_2(COUNT * COUNT))
    within = (role % COUNT * CELL[AXIS])[None, :] + place[:, None]
    return role, window(within, (role // COUNT)[None, :], AXIS, CELL, BLOCK, REAL)
