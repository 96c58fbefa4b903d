# SPDX-License-Identifier: Apache-2.0
"""Mean and scatter of a batch added to those of the vectors before it, in float64: first the means, then the tiles."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.launch import launch, tiles
from dssm.kernels.product import block, depth


def covariance(x: Tensor, mean: Tensor, scatter: Tensor, count: int) -> None:
    """Update mean (*P, C) and scatter (*P, C, C) in place."""
    if x.numel() == 0:
        return
    maps = x if x.ndim == 4 else x[..., None, None]
    if maps.element_size() == 2:
        maps = maps.float()  # Triton 3.7 compiles no product in float64 of what is loaded as 16 bits
    points, channels, height, width = maps.shape
    gaussians = height * width
    block_c, block_n = block(channels, mean.dtype), depth(points, mean.dtype)
    parts = tiles(channels, block_c)
    centre, shift = (torch.empty_like(mean) for _ in range(2))
    launch(
        _covariance_mean_fwd_kernel,
        gaussians * parts,
        *(maps, mean, centre, shift, points, channels, width, parts, count, *maps.stride()),
        BLOCK_C=block_c,
        BLOCK_N=block_n,
    )
    launch(
        _covariance_scatter_fwd_kernel,
        gaussians * parts * parts,
        *(maps, centre, shift, scatter, points, channels, width, parts, count, *maps.stride()),
        BLOCK_C=block_c,
        BLOCK_N=block_n,
        fuse=True,
    )


@triton.jit
def _share(points, count):
    """The batch's share of all vectors seen."""
    points, count = tl.cast(points, tl.int64), tl.cast(count, tl.int64)
    return points.to(tl.float64) / (points + count).to(tl.float64)


@triton.jit
def _vectors(p_x, i_gaussian, width, s_y, s_x):
    """Where the vectors of a Gaussian lie."""
    return p_x + (i_gaussian // width).to(tl.int64) * s_y + (i_gaussian % width).to(tl.int64) * s_x


@triton.jit(do_not_specialize=["count"])
def _covariance_mean_fwd_kernel(
    p_x,
    p_mean,
    p_centre,
    p_shift,
    points,
    channels,
    width,
    parts,
    count,
    s_x_n,
    s_x_c,
    s_x_y,
    s_x_x,
    BLOCK_C: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    i_gaussian = tl.program_id(0) // parts
    channel = tl.program_id(0) % parts * BLOCK_C + tl.arange(0, BLOCK_C).to(tl.int64)
    m_channel = channel < channels
    p_x = _vectors(p_x, i_gaussian, width, s_x_y, s_x_x) + channel * s_x_c
    total = tl.zeros((BLOCK_N, BLOCK_C), tl.float64)
    for n in range(0, points, BLOCK_N):
        point = n + tl.arange(0, BLOCK_N).to(tl.int64)
        m_x = (point < points)[:, None] & m_channel
        total += tl.load(p_x + point[:, None] * s_x_n, mask=m_x, other=0).to(tl.float64)
    place = i_gaussian.to(tl.int64) * channels + channel
    centre = tl.sum(total, axis=0) / points
    mean = tl.load(p_mean + place, mask=m_channel, other=0)
    tl.store(p_centre + place, centre, mask=m_channel)
    tl.store(p_shift + place, centre - mean, mask=m_channel)
    tl.store(p_mean + place, mean + (centre - mean) * _share(points, count), mask=m_channel)


@triton.jit(do_not_specialize=["count"])
def _covariance_scatter_fwd_kernel(
    p_x,
    p_centre,
    p_shift,
    p_scatter,
    points,
    channels,
    width,
    parts,
    count,
    s_x_n,
    s_x_c,
    s_x_y,
    s_x_x,
    BLOCK_C: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    i_gaussian = tl.program_id(0) // (parts * parts)
    i_tile = tl.program_id(0) % (parts * parts)
    if i_tile % parts <= i_tile // parts:  # the lower triangle
        row = i_tile // parts * BLOCK_C + tl.arange(0, BLOCK_C).to(tl.int64)
        column = i_tile % parts * BLOCK_C + tl.arange(0, BLOCK_C).to(tl.int64)
        m_row, m_column = row < channels, column < channels
        p_vector = _vectors(p_x, i_gaussian, width, s_x_y, s_x_x)
        first = i_gaussian.to(tl.int64) * channels
        row_centre = tl.load(p_centre + first + row, mask=m_row, other=0)[:, None]
        column_centre = tl.load(p_centre + first + column, mask=m_column, other=0)
        total = tl.zeros((BLOCK_C, BLOCK_C), tl.float64)
        for n in range(0, points, BLOCK_N):
            point = n + tl.arange(0, BLOCK_N).to(tl.int64)
            m_left, m_right = m_row[:, None] & (point < points), (point < points)[:, None] & m_column
            b_left = tl.load(p_vector + row[:, None] * s_x_c + point * s_x_n, mask=m_left, other=0)  # (C, N)
            b_right = tl.load(p_vector + point[:, None] * s_x_n + column * s_x_c, mask=m_right, other=0)  # (N, C)
            left = tl.where(m_left, b_left.to(tl.float64) - row_centre, 0)
            right = tl.where(m_right, b_right.to(tl.float64) - column_centre, 0)
            total = tl.dot(left, right, total, input_precision="ieee", out_dtype=tl.float64)
        row_shift = tl.load(p_shift + first + row, mask=m_row, other=0)
        column_shift = tl.load(p_shift + first + column, mask=m_column, other=0)
        earlier = tl.cast(count, tl.float64) * _share(points, count)
        total += row_shift[:, None] * column_shift * earlier
        p_tile = p_scatter + (first + row)[:, None] * channels + column
        m_tile = m_row[:, None] & m_column
        tl.store(p_tile, tl.load(p_tile, mask=m_tile, other=0) + total, mask=m_tile)
