# SPDX-License-Identifier: Apache-2.0
"""Normalisation of blocks, a row of (BLOCKS, FEATURES) each, and its gradient."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _length(v, EPS: tl.constexpr, OPENCV: tl.constexpr):
    """(BLOCKS, 1): the length that a block is divided by, and its growth by v . dv."""
    squares = tl.sum(v * v, 1)[:, None]
    if OPENCV:
        length = tl.sqrt(squares)
        return length + EPS, tl.where(squares == 0, 0, 1 / tl.where(squares == 0, 1, length))
    else:
        length = tl.sqrt(squares + EPS * EPS)
        return length, 1 / length


@triton.jit
def _clip(v):
    return tl.where(v > 0.2, 0.2, v)  # a NaN stays


@triton.jit
def _divide_backward(v, grad, length, slope):
    return grad / length - v * (tl.sum(v * grad, 1)[:, None] / (length * length) * slope)


@triton.jit
def normalize(v, COUNT: tl.constexpr, NORM: tl.constexpr, OPENCV: tl.constexpr):
    """Blocks of COUNT features, those beyond being zero."""
    if NORM == "L1" or NORM == "L1-sqrt":
        scaled = v / (tl.sum(v, 1)[:, None] + 1e-5)
        return tl.sqrt(scaled) if NORM == "L1-sqrt" else scaled
    else:
        FIRST: tl.constexpr = 0.1 * COUNT if OPENCV else 1e-5
        SECOND: tl.constexpr = 1e-3 if OPENCV else 1e-5
        scaled = v / _length(v, FIRST, OPENCV)[0]
        if NORM == "L2":
            return scaled
        else:
            clipped = _clip(scaled)
            return clipped / _length(clipped, SECOND, OPENCV)[0]


@triton.jit
def normalize_backward(v, grad, COUNT: tl.constexpr, NORM: tl.constexpr, OPENCV: tl.constexpr):
    """The gradient of blocks `v` from that of their normalised features; both are zero beyond COUNT."""
    if NORM == "L1" or NORM == "L1-sqrt":
        length = tl.sum(v, 1)[:, None] + 1e-5
        if NORM == "L1-sqrt":
            grad = tl.where(v == 0, 0, grad / (2 * tl.sqrt(tl.where(v == 0, 1, v) / length)))
        return grad / length - tl.sum(v * grad, 1)[:, None] / (length * length)
    else:
        FIRST: tl.constexpr = 0.1 * COUNT if OPENCV else 1e-5
        SECOND: tl.constexpr = 1e-3 if OPENCV else 1e-5
        length, slope = _length(v, FIRST, OPENCV)
        if NORM == "L2-Hys":
            scaled = v / length
            clipped = _clip(scaled)
            rest, rest_slope = _length(clipped, SECOND, OPENCV)
            grad = tl.where(scaled > 0.2, 0, _divide_backward(clipped, grad, rest, rest_slope))
        return _divide_backward(v, grad, length, slope)
