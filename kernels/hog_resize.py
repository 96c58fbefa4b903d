# SPDX-License-Identifier: Apache-2.0
"""Bilinear resizing with antialiasing, as torch.nn.functional.interpolate does it with antialias=True.

A pixel is the mean of the source's pixels under a hat, which is as wide as the image shrinks. The weights are whole
numbers and so exact: along an axis, distances are counted in 1 / (2 size) of the source's pixels.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def resized(p_plane, y, x, mask, size, source, strides, REAL: tl.constexpr):
    """What a plane that is resized from `source` to `size` holds at (y, x); nothing is read where masked out."""
    tap_y, distance_y, reach_y, total_y = _first_tap(y, source[0], size[0])
    first_x, first_distance_x, reach_x, total_x = _first_tap(x, source[1], size[1])
    total = tl.zeros(y.shape, REAL)
    for _ in range(reach_y // size[0] + 1):
        weight_y = _hat(distance_y, tap_y, reach_y, source[0])
        row = tap_y.to(y.dtype) * strides[0]
        tap_x, distance_x = first_x, first_distance_x
        line = tl.zeros(y.shape, REAL)
        for _ in range(reach_x // size[1] + 1):
            weight_x = _hat(distance_x, tap_x, reach_x, source[1])
            m_tap = mask & (weight_y > 0) & (weight_x > 0)
            b_value = tl.load(p_plane + (row + tap_x.to(x.dtype) * strides[1]), mask=m_tap, other=0)
            line += _share(weight_x, total_x, REAL) * b_value.to(REAL)
            tap_x, distance_x = tap_x + 1, distance_x + 2 * size[1]
        total += _share(weight_y, total_y, REAL) * line
        tap_y, distance_y = tap_y + 1, distance_y + 2 * size[0]
    return total


@triton.jit
def _first_tap(place, source, size):
    """Along an axis: the first pixel that a hat may touch, its signed distance from the centre, reach and all weights.

    All weights are at least 1, also around places outside of the image.
    """
    centre = (2 * place.to(tl.int64) + 1) * source
    reach = 2 * tl.maximum(source, size)
    first = tl.maximum(centre - reach + size, 0) // (2 * size)
    first, first_distance = first.to(tl.int32), ((2 * first + 1) * size - centre).to(tl.int32)
    total = tl.zeros(place.shape, tl.int32)
    tap, distance = first, first_distance
    for _ in range(reach // size + 1):
        total += _hat(distance, tap, reach, source)
        tap, distance = tap + 1, distance + 2 * size
    return first, first_distance, reach, tl.maximum(total, 1)


@triton.jit
def _hat(distance, place, reach, source):
    return tl.where(place < source, tl.maximum(reach - tl.abs(distance), 0), 0)


@triton.jit
def _share(weight, total, REAL: tl.constexpr):
    """A weight among all: exactly 1 if it is the only one, so that what is flat stays flat."""
    weight, total = weight.to(REAL), total.to(REAL)
    return tl.div_rn(weight, total) if tl.float32 == REAL else weight / total
