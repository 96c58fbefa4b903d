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
    tap_y, distance_y, reach_y = _first_tap(y, source[0], size[0])
    first_x, first_distance_x, reach_x = _first_tap(x, source[1], size[1])
    p_row = p_plane + tap_y * strides[0] + first_x * strides[1]
    total = tl.zeros(y.shape, REAL)
    weights_y = total
    weights_x = total
    for _ in range(reach_y // size[0] + 1):
        weight_y = _hat(distance_y, tap_y, reach_y, source[0])
        p_tap, tap_x, distance_x = p_row, first_x, first_distance_x
        line = tl.zeros(y.shape, REAL)
        weights_x = tl.zeros(y.shape, REAL)
        for _ in range(reach_x // size[1] + 1):
            weight_x = _hat(distance_x, tap_x, reach_x, source[1])
            b_value = tl.load(p_tap, mask=mask & (weight_y > 0) & (weight_x > 0), other=0)
            line += weight_x.to(REAL) * b_value.to(REAL)
            weights_x += weight_x.to(REAL)
            p_tap, tap_x, distance_x = p_tap + strides[1], tap_x + 1, distance_x + 2 * size[1]
        total += weight_y.to(REAL) * line
        weights_y += weight_y.to(REAL)
        p_row, tap_y, distance_y = p_row + strides[0], tap_y + 1, distance_y + 2 * size[0]
    return tl.where(mask, total / (weights_y * weights_x), 0)


@triton.jit
def _first_tap(place, source, size):
    """Along an axis: the first pixel that a hat may touch, its signed distance from the centre, and the hat's reach."""
    centre = (2 * place.to(tl.int64) + 1) * source
    reach = 2 * tl.maximum(source, size)
    first = tl.maximum(centre - reach + size, 0) // (2 * size)
    return first, ((2 * first + 1) * size - centre).to(tl.int32), reach


@triton.jit
def _hat(distance, place, reach, source):
    return tl.where(place < source, tl.maximum(reach - tl.abs(distance), 0), 0)
