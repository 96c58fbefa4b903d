# SPDX-License-Identifier: Apache-2.0
"""Central differences of an image, in the channel where they are largest; a border's own difference is zero."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.hog_resize import resized


def wide(image: Tensor) -> bool:
    """Whether places in a sample of (B, C, H, W) take 64 bits."""
    return sum((image.shape[i] - 1) * image.stride(i) for i in (2, 3)) >= 1 << 31


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
        b_value = tl.load(p_plane + (y * strides[0] + x * strides[1]), mask=mask, other=0).to(REAL)
    return root(b_value) if SQRT else b_value


@triton.jit
def has_neighbours(y, x, mask, size):
    """Whether a pixel has neighbours above and below, and whether it has them on its left and its right."""
    return mask & (y > 0) & (y + 1 < size[0]), mask & (x > 0) & (x + 1 < size[1])


@triton.jit
def _stronger(best, dy, dx, channel):
    """The larger one of two differences (dy, dx, channel); the first of equals, or the first NaN."""
    square, most = dy * dy + dx * dx, best[0] * best[0] + best[1] * best[1]
    stronger = (square > most) | ((square != square) & (most == most))
    return tl.where(stronger, dy, best[0]), tl.where(stronger, dx, best[1]), tl.where(stronger, channel, best[2])


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
    """dy, dx and the channel at (y, x), every neighbour being read."""
    m_y, m_x = has_neighbours(y, x, mask, size)
    best = (tl.zeros(y.shape, REAL), tl.zeros(y.shape, REAL), tl.zeros(y.shape, tl.int32))
    for channel in range(channels):
        below = pixels(p_image, y + 1, x, m_y, size, source, strides, REAL, SQRT, RESIZE)
        above = pixels(p_image, y - 1, x, m_y, size, source, strides, REAL, SQRT, RESIZE)
        right = pixels(p_image, y, x + 1, m_x, size, source, strides, REAL, SQRT, RESIZE)
        left = pixels(p_image, y, x - 1, m_x, size, source, strides, REAL, SQRT, RESIZE)
        best = _stronger(best, below - above, right - left, channel)
        p_image += s_channel
    return best


@triton.jit
def strongest_held(
    p_image,
    channels,
    s_channel,
    held_y,
    held_x,
    m_held,
    at,
    PITCH: tl.constexpr,
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
    """The same, each pixel (held_y, held_x) being read once; (y, x) is held at `at`, its lower one PITCH further on."""
    m_y, m_x = has_neighbours(y, x, mask, size)
    # All four by one gather: the pixels go into shared memory once.
    neighbours = tl.join(tl.join(at - PITCH, at - 1), tl.join(at + PITCH, at + 1))
    best = (tl.zeros(y.shape, REAL), tl.zeros(y.shape, REAL), tl.zeros(y.shape, tl.int32))
    for channel in range(channels):
        held = pixels(p_image, held_y, held_x, m_held, size, source, strides, REAL, SQRT, RESIZE)
        before, after = tl.split(tl.reshape(tl.gather(held, tl.ravel(neighbours), 0), neighbours.shape))
        dy, dx = tl.split(after - before)
        best = _stronger(best, tl.where(m_y, dy, 0), tl.where(m_x, dx, 0), channel)
        p_image += s_channel
    return best
