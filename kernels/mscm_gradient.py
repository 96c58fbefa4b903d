# SPDX-License-Identifier: Apache-2.0
"""Gradients of the masked convolution: what reaches it through attention and activation, and that of its weights."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.launch import launch, tiles
from dssm.kernels.mscm_map import corner, partial_sums, plane_strides
from dssm.kernels.product import block, computed, depth, precision

_PROGRAMS = 1024  # that share the sum over pixels: a number of no device, so that all devices add alike


def inner_gradient(
    grad: Tensor, mapped: Tensor, scale: Tensor | None, shift: Tensor | None, activation: str
) -> tuple[Tensor, Tensor]:
    """f' (grad scale + shift), in the layout of the map f, and its sums over tiles of pixels (B, tiles, Cout).

    grad and mapped (B, Cout, H, W); scale and shift (B, Cout), None without attention.
    """
    batch, channels, height, width = mapped.shape
    inner, sums = torch.empty_like(mapped), partial_sums(mapped)
    block_c = block(channels, mapped.dtype)
    pieces, parts = sums.shape[1], tiles(channels, block_c)
    launch(
        _mscm_inner_bwd_kernel,
        batch * pieces * parts,
        *(grad, mapped, scale, shift, inner, sums, channels, height, width, pieces, parts),
        *(*grad.stride(), *plane_strides(mapped)),
        ACTIVATION=activation,
        BLOCK_P=block(height * width, mapped.dtype),
        BLOCK_C=block_c,
    )
    return inner, sums


def weight_gradient(inner: Tensor, x: Tensor, dilation: int) -> Tensor:
    """(4, Cout, C): the sums over samples and pixels of inner (B, Cout, H, W) times each corner of x (B, C, H, W)."""
    batch, channels, height, width = x.shape
    outputs = inner.shape[1]
    block_o, block_c, block_p = block(outputs, x.dtype), block(channels, x.dtype), depth(height * width, x.dtype)
    parts, columns, steps = tiles(outputs, block_o), tiles(channels, block_c), batch * tiles(height * width, block_p)
    tile_count = 4 * parts * columns
    share = tiles(steps, max(1, _PROGRAMS // tile_count))  # steps of one program
    sums = torch.empty(tiles(steps, share), 4, outputs, channels, dtype=computed(x.dtype), device=x.device)
    launch(
        _mscm_weight_bwd_kernel,
        len(sums) * tile_count,
        *(inner, x, sums, channels, outputs, height, width, parts, columns, steps, share, dilation),
        *(*x.stride(), *plane_strides(inner)),
        PRECISION=precision(x.dtype),
        BLOCK_O=block_o,
        BLOCK_C=block_c,
        BLOCK_P=block_p,
        fuse=True,
    )
    return sums.sum(0)


@triton.jit
def _mscm_inner_bwd_kernel(
    p_grad,
    p_mapped,
    p_scale,
    p_shift,
    p_inner,
    p_sums,
    channels,
    height,
    width,
    pieces,
    parts,
    s_grad_b,
    s_grad_c,
    s_grad_y,
    s_grad_x,
    s_mapped_b,
    s_mapped_c,
    s_mapped_p,
    ACTIVATION: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    i_tile = tl.program_id(0) // parts
    i_sample = (i_tile // pieces).to(tl.int64)
    place = i_tile % pieces * BLOCK_P + tl.arange(0, BLOCK_P)
    channel = tl.program_id(0) % parts * BLOCK_C + tl.arange(0, BLOCK_C).to(tl.int64)
    m_channel = channel < channels
    m_tile = (place < height * width)[:, None] & m_channel
    dtype: tl.constexpr = p_sums.dtype.element_ty
    y, x = (place // width).to(tl.int64), (place % width).to(tl.int64)
    p_grad += i_sample * s_grad_b + (y * s_grad_y + x * s_grad_x)[:, None] + channel * s_grad_c
    b_inner = tl.load(p_grad, mask=m_tile, other=0).to(dtype)  # (P, C)
    if p_scale is not None:
        b_scale = tl.load(p_scale + i_sample * channels + channel, mask=m_channel, other=0)
        b_inner = b_inner * b_scale + tl.load(p_shift + i_sample * channels + channel, mask=m_channel, other=0)
    offset = i_sample * s_mapped_b + (place.to(tl.int64) * s_mapped_p)[:, None] + channel * s_mapped_c
    b_mapped = tl.load(p_mapped + offset, mask=m_tile, other=0).to(dtype)
    if ACTIVATION == "sigmoid":
        b_inner *= b_mapped * (1 - b_mapped)
    if ACTIVATION == "relu":
        b_inner = tl.where(b_mapped > 0, b_inner, 0)
    tl.store(p_inner + offset, b_inner.to(p_inner.dtype.element_ty), mask=m_tile)
    sums = tl.sum(tl.where(m_tile, b_inner, 0), axis=0)
    tl.store(p_sums + i_tile.to(tl.int64) * channels + channel, sums, mask=m_channel)


@triton.jit
def _mscm_weight_bwd_kernel(
    p_inner,
    p_x,
    p_sums,
    channels,
    outputs,
    height,
    width,
    parts,
    columns,
    steps,
    share,
    dilation,
    s_x_b,
    s_x_c,
    s_x_y,
    s_x_x,
    s_inner_b,
    s_inner_c,
    s_inner_p,
    PRECISION: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_C: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    i_tap = tl.program_id(0) % 4  # the four taps of a tile read the same pixels
    i_tile = tl.program_id(0) // 4 % (parts * columns)
    i_share = tl.program_id(0) // (4 * parts * columns)
    output = i_tile // columns * BLOCK_O + tl.arange(0, BLOCK_O).to(tl.int64)
    channel = i_tile % columns * BLOCK_C + tl.arange(0, BLOCK_C).to(tl.int64)
    m_output, m_channel = output < outputs, channel < channels
    p_inner += (output * s_inner_c)[:, None]
    p_x += channel * s_x_c
    pieces = (height * width + BLOCK_P - 1) // BLOCK_P
    total = tl.zeros((BLOCK_O, BLOCK_C), p_sums.dtype.element_ty)
    for step in range(i_share * share, tl.minimum(i_share * share + share, steps)):
        sample = (step // pieces).to(tl.int64)
        place = step % pieces * BLOCK_P + tl.arange(0, BLOCK_P)
        y, x, m_seen = corner(i_tap, place, height, width, dilation)
        b_inner = tl.load(
            p_inner + sample * s_inner_b + place.to(tl.int64) * s_inner_p, mask=m_output[:, None] & m_seen, other=0
        )  # (O, P)
        b_x = tl.load(
            p_x + (sample * s_x_b + y * s_x_y + x * s_x_x)[:, None], mask=m_seen[:, None] & m_channel, other=0
        )  # (P, C)
        total = tl.dot(b_inner, b_x, total, input_precision=PRECISION, out_dtype=total.dtype)
    p_sums += (i_share.to(tl.int64) * 4 + i_tap) * outputs * channels
    tl.store(p_sums + output[:, None] * channels + channel, total, mask=m_output[:, None] & m_channel)
