# SPDX-License-Identifier: Apache-2.0
"""Whitening fused with the norm, a tile of points that share a Gaussian per program."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.launch import launch, tiles
from dssm.kernels.product import block, computed, depth, precision


def mahalanobis(x: Tensor, mean: Tensor, whiten: Tensor) -> Tensor:
    """(N, C) -> (N,), (B, C, H, W) -> (B, H, W)."""
    return _distances(x, mean, whiten, None)


def mahalanobis_backward(grad: Tensor, x: Tensor, mean: Tensor, whiten: Tensor) -> list[Tensor]:
    """The gradient with respect to x."""
    rows, channels = whiten.shape[-2:]
    gaussians, points, height, width = _sizes(x, mean)
    matrices = whiten.reshape(-1, rows, channels)
    whitened = torch.empty(gaussians * points, rows, dtype=computed(x.dtype), device=x.device)
    distance = _distances(x, mean, whiten, whitened)
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    block_p, block_c = block(points, whitened.dtype), block(channels, whitened.dtype)
    launch(
        _mahalanobis_bwd_kernel,
        gaussians * tiles(points, block_p) * tiles(channels, block_c),
        *(grad, distance, whitened, matrices, out, points, channels, rows, height, width),
        *(*(grad if grad.ndim == 3 else grad[:, None, None]).stride(), *matrices.stride()),
        SHARED=mean.ndim == 1,
        PRECISION=precision(whitened.dtype, exact=True),
        BLOCK_P=block_p,
        BLOCK_C=block_c,
        BLOCK_K=depth(rows, whitened.dtype),
        fuse=True,
    )
    return [out]


def _distances(x: Tensor, mean: Tensor, whiten: Tensor, whitened: Tensor | None) -> Tensor:
    """Also the vectors whose norms they are, where a tensor for them is given: (Gaussians x points, K)."""
    rows, channels = whiten.shape[-2:]
    gaussians, points, height, width = _sizes(x, mean)
    means, matrices = mean.reshape(-1, channels), whiten.reshape(-1, rows, channels)
    distance = torch.empty((x.shape[0], *x.shape[2:]), dtype=computed(x.dtype), device=x.device)
    block_p, block_k = block(points, distance.dtype), block(rows, distance.dtype)
    launch(
        _mahalanobis_fwd_kernel,
        gaussians * tiles(points, block_p),
        *(x, means, matrices, distance, whitened, points, channels, rows, height, width),
        *(*_maps(x).stride(), *means.stride(), *matrices.stride()),
        SHARED=mean.ndim == 1,
        PRECISION=precision(distance.dtype, exact=True),
        BLOCK_P=block_p,
        BLOCK_C=depth(channels, distance.dtype),
        BLOCK_K=block_k,
        warps=8 if block_p * block_k > 2048 else 4,  # a large tile needs the registers of more
        stages=1 if distance.dtype == torch.float64 else 3,  # loads ahead of float64 would spill registers
        fuse=True,
    )
    return distance


def _maps(x: Tensor) -> Tensor:
    """Points (N, C) as maps of one pixel."""
    return x if x.ndim == 4 else x[..., None, None]


def _sizes(x: Tensor, mean: Tensor) -> tuple[int, int, int, int]:
    """The Gaussians, the points of each, and the height and width of the maps."""
    batch, _, height, width = _maps(x).shape
    return (1, batch * height * width, height, width) if mean.ndim == 1 else (height * width, batch, height, width)


@triton.jit
def _places(i_tile, points, height, width, SHARED: tl.constexpr, BLOCK: tl.constexpr):
    """The Gaussian of a tile; its points' numbers and mask, and the sample, row and column of each."""
    pieces = tl.cdiv(points, BLOCK)
    i_gaussian = (i_tile // pieces).to(tl.int64)
    point = i_tile % pieces * BLOCK + tl.arange(0, BLOCK)
    m_point = point < points
    if SHARED:
        plane = height * width
        sample, y, x = point // plane, point % plane // width, point % width
    else:
        sample, y, x = point, i_gaussian // width, i_gaussian % width
    return i_gaussian, point, m_point, sample.to(tl.int64), y.to(tl.int64), x.to(tl.int64)


@triton.jit
def _mahalanobis_fwd_kernel(
    p_x,
    p_mean,
    p_whiten,
    p_distance,
    p_whitened,
    points,
    channels,
    rows,
    height,
    width,
    s_x_b,
    s_x_c,
    s_x_y,
    s_x_x,
    s_mean_g,
    s_mean_c,
    s_whiten_g,
    s_whiten_k,
    s_whiten_c,
    SHARED: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    i_gaussian, point, m_point, sample, y, x = _places(tl.program_id(0), points, height, width, SHARED, BLOCK_P)
    dtype: tl.constexpr = p_distance.dtype.element_ty
    p_x += (sample * s_x_b + y * s_x_y + x * s_x_x)[:, None]
    p_mean += i_gaussian * s_mean_g
    p_whiten += i_gaussian * s_whiten_g
    squares = tl.zeros((BLOCK_P,), dtype)
    for k in range(0, rows, BLOCK_K):
        row = k + tl.arange(0, BLOCK_K)
        m_row = row < rows
        b_whitened = tl.zeros((BLOCK_P, BLOCK_K), dtype)
        for c in range(0, channels, BLOCK_C):
            channel = c + tl.arange(0, BLOCK_C).to(tl.int64)
            m_channel = channel < channels
            b_x = tl.load(p_x + channel * s_x_c, mask=m_point[:, None] & m_channel, other=0).to(dtype)  # (P, C)
            b_mean = tl.load(p_mean + channel * s_mean_c, mask=m_channel, other=0).to(dtype)
            b_whiten = tl.load(
                p_whiten + channel[:, None] * s_whiten_c + row * s_whiten_k, mask=m_channel[:, None] & m_row, other=0
            )  # (C, K)
            b_whitened = tl.dot(
                b_x - b_mean, b_whiten.to(dtype), b_whitened, input_precision=PRECISION, out_dtype=dtype
            )
        b_whitened = tl.where(
            m_row, b_whitened, 0
        )  # a point that is not finite makes NaN of the rows that do not exist
        squares += tl.sum(b_whitened * b_whitened, axis=1)
        if p_whitened is not None:
            place = (i_gaussian * points + point) * rows
            tl.store(p_whitened + place[:, None] + row, b_whitened, mask=m_point[:, None] & m_row)
    tl.store(p_distance + (sample * height + y) * width + x, tl.sqrt(squares), mask=m_point)


@triton.jit
def _mahalanobis_bwd_kernel(
    p_grad,
    p_distance,
    p_whitened,
    p_whiten,
    p_out,
    points,
    channels,
    rows,
    height,
    width,
    s_grad_b,
    s_grad_y,
    s_grad_x,
    s_whiten_g,
    s_whiten_k,
    s_whiten_c,
    SHARED: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    pieces = tl.cdiv(channels, BLOCK_C)
    i_tile = tl.program_id(0) // pieces
    i_gaussian, point, m_point, sample, y, x = _places(i_tile, points, height, width, SHARED, BLOCK_P)
    channel = tl.program_id(0) % pieces * BLOCK_C + tl.arange(0, BLOCK_C).to(tl.int64)
    m_channel = channel < channels
    dtype: tl.constexpr = p_distance.dtype.element_ty
    distance = tl.load(p_distance + (sample * height + y) * width + x, mask=m_point, other=0)
    grad = tl.load(p_grad + sample * s_grad_b + y * s_grad_y + x * s_grad_x, mask=m_point, other=0).to(dtype)
    grad = tl.where(distance == 0, 0, grad)
    distance = tl.where(distance == 0, 1, distance)
    p_whitened += ((i_gaussian * points + point) * rows)[:, None]
    p_whiten += i_gaussian * s_whiten_g + channel * s_whiten_c
    total = tl.zeros((BLOCK_P, BLOCK_C), dtype)
    for k in range(0, rows, BLOCK_K):
        row = k + tl.arange(0, BLOCK_K).to(tl.int64)
        m_row = row < rows
        b_whitened = tl.load(p_whitened + row, mask=m_point[:, None] & m_row, other=0)  # (P, K)
        b_whiten = tl.load(p_whiten + row[:, None] * s_whiten_k, mask=m_row[:, None] & m_channel, other=0)  # (K, C)
        total = tl.dot(
            b_whitened / distance[:, None], b_whiten.to(dtype), total, input_precision=PRECISION, out_dtype=dtype
        )
    place = ((sample * channels * height + y) * width + x)[:, None] + channel * height * width
    tl.store(p_out + place, total * grad[:, None], mask=m_point[:, None] & m_channel)
