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
    first_y, distance_y, end_y, reach_y, total_y = _hat(y, source[0], size[0], REAL)
    first_x, first_distance_x, end_x, reach_x, total_x = _hat(x, source[1], size[1], REAL)
    row = first_y * strides[0] + first_x * strides[1]
    step_y, step_x = 2 * size[0], 2 * size[1]
    total = tl.zeros(y.shape, REAL)
    for _ in range(2 * reach_y // step_y + 1):
        weight_y = reach_y - tl.abs(distance_y)
        m_row = mask & (weight_y > 0) & (distance_y < end_y)
        tap, distance_x = row, first_distance_x
        line = tl.zeros(y.shape, REAL)
        for _ in range(2 * reach_x // step_x + 1):
            weight_x = reach_x - tl.abs(distance_x)
            m_tap = m_row & (weight_x > 0) & (distance_x < end_x)
            b_value = tl.load(p_plane + tap, mask=m_tap, other=0).to(REAL)
            line += _share(weight_x, total_x) * b_value
            tap, distance_x = tap + strides[1], distance_x + step_x
        total += tl.where(m_row, _share(weight_y, total_y) * line, 0)
        row, distance_y = row + strides[0], distance_y + step_y
    return total


@triton.jit
def _hat(place, source, size, REAL: tl.constexpr):
    """Along an axis: the first pixel that the hat may touch, how far it lies from the centre (signed), how far the end
    of the image, the hat's reach and all its weights."""
    centre = (2 * place.to(tl.int64) + 1) * source
    reach = 2 * tl.maximum(source, size)
    first = tl.maximum(centre - reach + size, 0) // (2 * size)
    end = tl.minimum(2 * source * (size - place.to(tl.int64)) - source, reach).to(tl.int32)
    first_distance = ((2 * first + 1) * size - centre).to(tl.int32)
    total = tl.zeros(place.shape, tl.int32)
    distance = first_distance
    for _ in range(reach // size + 1):
        total += tl.where(distance < end, tl.maximum(reach - tl.abs(distance), 0), 0)
        distance += 2 * size
    # Around places outside of the image there may be none.
    return first.to(place.dtype), first_distance, end, reach, tl.maximum(total, 1).to(REAL)


@triton.jit
def _share(weight, total):
    """A weight among all: exactly 1 if it is the only one, so that what is flat stays flat."""
    weight = weight.to(total.dtype)
    return tl.div_rn(weight, total) if total.dtype == tl.float32 else weight / total
