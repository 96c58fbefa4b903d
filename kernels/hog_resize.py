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
    tap_y, distance_y, reach_y, total_y = _hat(y, source[0], size[0], REAL)
    first_x, first_distance_x, reach_x, total_x = _hat(x, source[1], size[1], REAL)
    total = tl.zeros(y.shape, REAL)
    for _ in range(reach_y // size[0] + 1):
        weight_y = tl.maximum(reach_y - tl.abs(distance_y), 0)
        m_row = mask & (weight_y > 0) & (tap_y < source[0])
        row = tap_y * strides[0]
        tap_x, distance_x = first_x, first_distance_x
        line = tl.zeros(y.shape, REAL)
        for _ in range(reach_x // size[1] + 1):
            weight_x = tl.maximum(reach_x - tl.abs(distance_x), 0)
            m_tap = m_row & (weight_x > 0) & (tap_x < source[1])
            b_value = tl.load(p_plane + (row + tap_x * strides[1]), mask=m_tap, other=0)
            line += _share(weight_x, total_x) * b_value.to(REAL)
            tap_x, distance_x = tap_x + 1, distance_x + 2 * size[1]
        total += _share(weight_y, total_y) * line
        tap_y, distance_y = tap_y + 1, distance_y + 2 * size[0]
    return total


@triton.jit
def _hat(place, source, size, REAL: tl.constexpr):
    """Along an axis: the first pixel that the hat may touch, its signed distance from the centre, reach, all weights.

    All weights are at least 1, also around places outside of the image.
    """
    centre = (2 * place.to(tl.int64) + 1) * source
    reach = 2 * tl.maximum(source, size)
    first = tl.maximum(centre - reach + size, 0) // (2 * size)
    first, first_distance = first.to(place.dtype), ((2 * first + 1) * size - centre).to(tl.int32)
    total = tl.zeros(place.shape, tl.int32)
    tap, distance = first, first_distance
    for _ in range(reach // size + 1):
        total += tl.where(tap < source, tl.maximum(reach - tl.abs(distance), 0), 0)
        tap, distance = tap + 1, distance + 2 * size
    return first, first_distance, reach, tl.maximum(total, 1).to(REAL)


@triton.jit
def _share(weight, total):
    """A weight among all: exactly 1 if it is the only one, so that what is flat stays flat."""
    weight = weight.to(total.dtype)
    return tl.div_rn(weight, total) if total.dtype == tl.float32 else weight / total
