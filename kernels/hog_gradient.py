# SPDX-License-Identifier: Apache-2.0
"""Central differences of an image, in the channel where they are largest; a border's own difference is zero."""

from __future__ import annotations

import triton
import triton.language as tl
from dssm.kernels.hog_resize import resized


@triton.jit
def root(b_value):
    """The square root rounded to nearest: ties between channels hang on its last bit."""
    return tl.sqrt_rn(b_value) if b_value.dtype == tl.float32 else tl.sqrt(b_value)


@triton.jit
def pixels(p_plane, y, x, mask, size, source, strides, REAL: tl.constexpr, SQRT: tl.constexpr, RESIZE: tl.constexpr):
    """What a plane, resized from `source` to `size` if RESIZE, holds at (y, x); 0 where masked out."""
    if RESIZE:
        b_value = resized(p_plane, y, x, mask, size, source, strides, REAL)
    else:
        place = y.to(tl.int64) * strides[0] + x.to(tl.int64) * strides[1]
        b_value = tl.load(p_plane + place, mask=mask, other=0).to(REAL)
    return root(b_value) if SQRT else b_value


@triton.jit
def has_neighbours(y, x, mask, size):
    """Whether a pixel has neighbours above and below, and whether it has them on its left and its right."""
    return mask & (y > 0) & (y + 1 < size[0]), mask & (x > 0) & (x + 1 < size[1])


@triton.jit
def take_stronger(best, dy, dx, channel):
    """The larger one of two differences (dy, dx, dy^2 + dx^2, channel); the first of equals, or the first NaN."""
    square = dy * dy + dx * dx
    stronger = (square > best[2]) | ((square != square) & (best[2] == best[2]))
    return (
        tl.where(stronger, dy, best[0]),
        tl.where(stronger, dx, best[1]),
        tl.where(stronger, square, best[2]),
        tl.where(stronger, channel, best[3]),
    )


@triton.jit
def strongest(
    p_image,
    channels,
    s_channel,
    y,
    x,
    mask,
    size,
    source,
    strides,
    REAL: tl.constexpr,
    SQRT: tl.constexpr,
    RESIZE: tl.constexpr,
):
    """dy, dx, dy^2 + dx^2 and the channel at (y, x), every neighbour being read."""
    m_y, m_x = has_neighbours(y, x, mask, size)
    zero = tl.zeros(y.shape, REAL)
    best = (zero, zero, zero - 1, tl.zeros(y.shape, tl.int32))
    channel = 0
    for _ in range(channels):
        below = pixels(p_image, y + 1, x, m_y, size, source, strides, REAL, SQRT, RESIZE)
        above = pixels(p_image, y - 1, x, m_y, size, source, strides, REAL, SQRT, RESIZE)
        right = pixels(p_image, y, x + 1, m_x, size, source, strides, REAL, SQRT, RESIZE)
        left = pixels(p_image, y, x - 1, m_x, size, source, strides, REAL, SQRT, RESIZE)
        best = take_stronger(best, below - above, right - left, channel)
        p_image += s_channel
        channel += 1
    return best


@triton.jit
def strongest_held(
    p_image,
    channels,
    s_channel,
    held_y,
    held_x,
    m_held,
    place,
    pitch: tl.constexpr,
    y,
    x,
    mask,
    size,
    source,
    strides,
    REAL: tl.constexpr,
    SQRT: tl.constexpr,
    RESIZE: tl.constexpr,
):
    """The same, every pixel (held_y, held_x) being read once; (y, x) is held at `place`, its lower one `pitch` on."""
    m_y, m_x = has_neighbours(y, x, mask, size)
    below, above = tl.where(m_y, place + pitch, 0), tl.where(m_y, place - pitch, 0)
    right, left = tl.where(m_x, place + 1, 0), tl.where(m_x, place - 1, 0)
    zero = tl.zeros(y.shape, REAL)
    best = (zero, zero, zero - 1, tl.zeros(y.shape, tl.int32))
    channel = 0
    for _ in range(channels):
        held = pixels(p_image, held_y, held_x, m_held, size, source, strides, REAL, SQRT, RESIZE)
        dy = tl.where(m_y, tl.gather(held, below, 0) - tl.gather(held, above, 0), 0)
        dx = tl.where(m_x, tl.gather(held, right, 0) - tl.gather(held, left, 0), 0)
        best = take_stronger(best, dy, dx, channel)
        p_image += s_channel
        channel += 1
    return best
