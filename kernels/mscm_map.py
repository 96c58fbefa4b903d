# SPDX-License-Identifier: Apache-2.0
"""The sum over four corners as one matrix product, whose left side, pixels times 4 C inputs, is never written."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.launch import launch, tiles
from dssm.kernels.product import block, computed, depth, precision


def partial_sums(out: Tensor) -> Tensor:
    """(B, tiles, Cout) for the sums of each map (B, Cout, H, W) over the pixels of each tile."""
    pixels = out.shape[2] * out.shape[3]
    size = out.shape[0], tiles(pixels, block(pixels, out.dtype)), out.shape[1]
    return out.new_empty(size, dtype=computed(out.dtype))


def plane_strides(out: Tensor) -> tuple[int, int, int]:
    """The strides of samples, channels and pixels of maps that are contiguous or channels_last."""
    return out.stride(0), out.stride(1), out.stride(3) if out.shape[3] > 1 else out.stride(2)


def add_taps(
    x: Tensor,
    taps: Tensor,
    bias: Tensor | None,
    out: Tensor,
    dilation: int,
    activation: str,
    sums: Tensor | None = None,
    factor: Tensor | None = None,
) -> None:
    """out = f(sum_t taps[t] x_t + bias), x_t the corner t of x padded by `dilation` zeros; by fewer than 0, mirrored.

    x (B, C, H, W), taps (4, Cout, C), out (B, Cout, H, W) contiguous or channels_last.
    sums, where given, gets the sums of f, times `factor` where that is given, over the pixels of each tile.
    """
    batch, channels, height, width = x.shape
    outputs, pixels = out.shape[1], height * width
    block_p, block_o = block(pixels, x.dtype), block(outputs, x.dtype)
    pieces, parts = tiles(pixels, block_p), tiles(outputs, block_o)
    launch(
        _mscm_map_fwd_kernel,
        batch * pieces * parts,
        *(x, taps, bias, out, sums, factor),
        *(channels, outputs, height, width, pieces, parts, dilation),
        *(*x.stride(), *taps.stride(), 0 if bias is None else bias.stride(0)),
        *plane_strides(out),
        *((0,) * 4 if factor is None else factor.stride()),
        ACTIVATION=activation,
        PRECISION=precision(x.dtype),
        BLOCK_P=block_p,
        BLOCK_O=block_o,
        BLOCK_C=depth(channels, x.dtype),
        fuse=True,
    )


@triton.jit
def corner(tap, place, height, width, dilation):
    """The rows and columns that a tap sees from the pixels of a map, and which of them exist."""
    row = place // width + (tap // 2 * 2 - 1) * dilation
    column = place % width + (tap % 2 * 2 - 1) * dilation
    m_seen = (row >= 0) & (row < height) & (column >= 0) & (column < width) & (place < height * width)
    return row.to(tl.int64), column.to(tl.int64), m_seen


@triton.jit
def _mscm_map_fwd_kernel(
    p_x,
    p_taps,
    p_bias,
    p_out,
    p_sums,
    p_factor,
    channels,
    outputs,
    height,
    width,
    pieces,
    parts,
    dilation,
    s_x_b,
    s_x_c,
    s_x_y,
    s_x_x,
    s_taps_t,
    s_taps_o,
    s_taps_c,
    s_bias,
    s_out_b,
    s_out_c,
    s_out_p,
    s_factor_b,
    s_factor_c,
    s_factor_y,
    s_factor_x,
    ACTIVATION: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_O: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    i_tile = tl.program_id(0) // parts  # the tiles of outputs follow each other: they read the same pixels
    i_sample = (i_tile // pieces).to(tl.int64)
    place = i_tile % pieces * BLOCK_P + tl.arange(0, BLOCK_P)
    output = tl.program_id(0) % parts * BLOCK_O + tl.arange(0, BLOCK_O).to(tl.int64)
    m_place, m_output = place < height * width, output < outputs
    dtype: tl.constexpr = tl.float64 if p_x.dtype.element_ty == tl.float64 else tl.float32
    p_x += i_sample * s_x_b
    p_taps += output * s_taps_o
    steps = (channels + BLOCK_C - 1) // BLOCK_C
    total = tl.zeros((BLOCK_P, BLOCK_O), dtype)
    for step in range(4 * steps):
        tap = step // steps
        channel = step % steps * BLOCK_C + tl.arange(0, BLOCK_C).to(tl.int64)
        m_channel = channel < channels
        y, x, m_seen = corner(tap, place, height, width, dilation)
        b_x = tl.load(
            p_x + (y * s_x_y + x * s_x_x)[:, None] + channel * s_x_c, mask=m_seen[:, None] & m_channel, other=0
        )  # (P, C)
        b_taps = tl.load(
            p_taps + tap * s_taps_t + channel[:, None] * s_taps_c, mask=m_channel[:, None] & m_output, other=0
        )  # (C, O)
        total = tl.dot(b_x, b_taps, total, input_precision=PRECISION, out_dtype=dtype)
    if p_bias is not None:
        total += tl.load(p_bias + output * s_bias, mask=m_output, other=0).to(dtype)
    if ACTIVATION == "sigmoid":
        total = tl.sigmoid(total)
    if ACTIVATION == "relu":
        total = tl.where(total < 0, 0, total)  # NaN stays
    m_out = m_place[:, None] & m_output
    b_out = total.to(p_out.dtype.element_ty)
    tl.store(p_out + i_sample * s_out_b + (place.to(tl.int64) * s_out_p)[:, None] + output * s_out_c, b_out, mask=m_out)
    if p_sums is not None:
        if p_factor is not None:
            y, x = (place // width).to(tl.int64), (place % width).to(tl.int64)
            p_factor += i_sample * s_factor_b + (y * s_factor_y + x * s_factor_x)[:, None]
            total *= tl.load(p_factor + output * s_factor_c, mask=m_out, other=0).to(dtype)
        sums = tl.sum(tl.where(m_place[:, None], total, 0), axis=0)
        tl.store(p_sums + i_tile.to(tl.int64) * outputs + output, sums, mask=m_output)
