# SPDX-License-Identifier: Apache-2.0
"""The rectangles of scars and patches, in integers or correctly rounded float64; see `cut` in the reference.

A shape is a tuple of int64: height and width in pixels, cosine and sine in 1/65536, the centre (y, x) and the centre of
its origin.
"""

from __future__ import annotations

import math

import triton
import triton.language as tl

from dssm.kernels.perlin import cosine_sine, nearest
from dssm.kernels.philox import integer, philox
from dssm.reference.paste import SCAR
from dssm.reference.philox import PASTE

SHAPE = 8  # numbers in a shape

_SHAPE, _SCAR, _PASTE = tl.constexpr(SHAPE), tl.constexpr(SCAR), tl.constexpr(PASTE)
_DEGREE = tl.constexpr(math.pi / 180)


@triton.jit
def rectangle(seed, index, kind, height, width, least, most):
    """The shape of a sample."""
    height, width = tl.cast(height, tl.int64), tl.cast(width, tl.int64)
    _, first, second, third = philox(seed, index, _PASTE, 0)
    if kind == _SCAR:
        side = tl.minimum(height, width)
        h = (integer(first, 2560, 6401) * side + 32768) >> 16
        w = (integer(second, 512, 4097) * side + 32768) >> 16
        degrees = integer(third, -45, 46)
    else:
        share = integer(first, 2000, 15001) * (height * width)
        aspect = tl.where(integer(third, 0, 2) == 0, integer(second, 300, 1001), integer(second, 1000, 3301))
        h, w = _root(share * aspect, 100000000).to(tl.int64), _root(share, 100 * aspect).to(tl.int64)
        degrees = tl.cast(0, tl.int64)
    h, w = _fit(h, w, height, width, least, most)
    cos, sin = turn(degrees)
    box_h, box_w = (h * cos + w * tl.abs(sin) + 65535) >> 16, (w * cos + h * tl.abs(sin) + 65535) >> 16
    y, x, from_y, from_x = philox(seed, index, _PASTE, 1)
    return (
        h,
        w,
        cos,
        sin,
        _centre(y, box_h, height),
        _centre(x, box_w, width),
        _centre(from_y, h, height),
        _centre(from_x, w, width),
    )


@triton.jit
def turn(degrees):
    """Cosine and sine in 1/65536."""
    cos, sin = cosine_sine(degrees.to(tl.float64) * _DEGREE)
    return nearest(cos * 65536), nearest(sin * 65536)


@triton.jit
def _fit(h, w, height, width, least, most):
    """Sides inside the image and at least 1, with least <= h w <= most where that can be; most wins."""
    h, w = _clamp(h, height), _clamp(w, width)
    if h * w < least:
        taller, wider = tl.ceil(_root(h * least, w)), tl.ceil(_root(w * least, h))
        h, w = _clamp(taller.to(tl.int64), height), _clamp(wider.to(tl.int64), width)
    if h * w > most:
        lower, narrower = _root(h * most, w), _root(w * most, h)
        h, w = tl.maximum(lower.to(tl.int64), 1), tl.maximum(narrower.to(tl.int64), 1)
    h = tl.maximum(tl.minimum(h, most // w), 1)
    return h, tl.maximum(tl.minimum(w, most // h), 1)


@triton.jit
def _clamp(length, most):
    return tl.minimum(tl.maximum(length, 1), most)


@triton.jit
def _root(numerator, denominator):
    """sqrt(a / b) in float64: both steps are correctly rounded."""
    return tl.sqrt(numerator.to(tl.float64) / tl.cast(denominator, tl.float64))


@triton.jit
def _centre(word, extent, length):
    extent = tl.minimum(extent, length)
    return integer(word, extent // 2, length - (extent + 1) // 2 + 1)


@triton.jit
def store_shape(p_shape, shape):
    for i in tl.static_range(_SHAPE):
        tl.store(p_shape + i, shape[i])


@triton.jit
def load_shape(p_shape):
    return (
        tl.load(p_shape),
        tl.load(p_shape + 1),
        tl.load(p_shape + 2),
        tl.load(p_shape + 3),
        tl.load(p_shape + 4),
        tl.load(p_shape + 5),
        tl.load(p_shape + 6),
        tl.load(p_shape + 7),
    )


@triton.jit
def locate(shape, y, x):
    """Whether a rectangle covers (y, x), and the row and the column that show there, not held inside the image."""
    h, w, cos, sin, centre_y, centre_x, from_y, from_x = shape
    dy, dx = y - centre_y, x - centre_x
    down, right = cos * dy - sin * dx, sin * dy + cos * dx  # along its sides, in 1/65536 pixel
    half_h, half_w = h << 15, w << 15
    covered = (-half_h <= down) & (down < half_h) & (-half_w <= right) & (right < half_w)
    return covered, from_y + ((down + 32768) >> 16), from_x + ((right + 32768) >> 16)


@triton.jit
def shown_near(shape, y, x):
    """The pixel that comes nearest to showing (y, x)."""
    _, _, cos, sin, centre_y, centre_x, from_y, from_x = shape
    down, right = y - from_y, x - from_x
    dy, dx = cos * down + sin * right, cos * right - sin * down
    return centre_y + ((dy + 32768) >> 16), centre_x + ((dx + 32768) >> 16)
