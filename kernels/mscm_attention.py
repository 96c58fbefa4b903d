# SPDX-License-Identifier: Apache-2.0
"""Squeeze and excitation: the mean of each map, two small layers, and a scale for each map."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.launch import launch, tiles
from dssm.kernels.mscm_map import plane_strides

_BLOCK_P = 64
_BLOCK_C = 64
_WEIGHTS = 4096  # in the registers of a program at a time


def attend(
    out: Tensor, sums: Tensor, squeeze_weight: Tensor, squeeze_bias: Tensor, excite_weight: Tensor, excite_bias: Tensor
) -> Tensor:
    """Scale the maps (B, C, H, W), of whose tiles (B, tiles, C) are the sums, in place -> (2, B, C): mean and scale."""
    batch, channels, height, width = out.shape
    hidden = squeeze_weight.shape[0]
    squeezed = sums.new_empty(2, batch, channels)
    block_r = triton.next_power_of_2(max(1, hidden))
    launch(
        _mscm_excite_fwd_kernel,
        batch,
        *(sums, squeeze_weight, squeeze_bias, excite_weight, excite_bias, *squeezed),
        *(sums.shape[1], channels, hidden, height * width),
        *(*squeeze_weight.stride(), squeeze_bias.stride(0), *excite_weight.stride(), excite_bias.stride(0)),
        BLOCK_R=block_r,
        BLOCK_C=min(triton.next_power_of_2(channels), max(1, _WEIGHTS // block_r)),
    )
    pieces, parts = tiles(height * width, _BLOCK_P), tiles(channels, _BLOCK_C)
    launch(
        _mscm_scale_fwd_kernel,
        batch * pieces * parts,
        *(out, squeezed[1], channels, height * width, pieces, parts),
        *plane_strides(out),
        BLOCK_P=_BLOCK_P,
        BLOCK_C=_BLOCK_C,
    )
    return squeezed


def attention_backward(
    grad_scale: Tensor,
    squeezed: Tensor,
    pixels: int,
    squeeze_weight: Tensor,
    squeeze_bias: Tensor,
    excite_weight: Tensor,
    excite_bias: Tensor,
) -> tuple[Tensor, list[Tensor]]:
    """What the mean adds to the gradient of every pixel (B, C), and the gradients of the two layers.

    On (B, C) values and less: torch's own operations do.
    """
    mean, scale = squeezed
    w1, b1, w2 = (tensor.to(mean.dtype) for tensor in (squeeze_weight, squeeze_bias, excite_weight))
    hidden = torch.relu(mean @ w1.T + b1)
    grad_logit = grad_scale * scale * (1 - scale)
    grad_hidden = torch.where(hidden > 0, grad_logit @ w2, 0)
    grads = [grad_hidden.T @ mean, grad_hidden.sum(0), grad_logit.T @ hidden, grad_logit.sum(0)]
    return grad_hidden @ w1 / pixels, [grad.to(excite_bias.dtype) for grad in grads]


@triton.jit
def _mscm_excite_fwd_kernel(
    p_sums,
    p_w1,
    p_b1,
    p_w2,
    p_b2,
    p_mean,
    p_scale,
    pieces,
    channels,
    hidden,
    pixels,
    s_w1_r,
    s_w1_c,
    s_b1,
    s_w2_c,
    s_w2_r,
    s_b2,
    BLOCK_R: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    i_sample = tl.program_id(0).to(tl.int64)
    dtype: tl.constexpr = p_sums.dtype.element_ty
    p_sums += i_sample * pieces * channels
    p_mean += i_sample * channels
    p_scale += i_sample * channels
    row = tl.arange(0, BLOCK_R).to(tl.int64)
    m_row = row < hidden
    b_hidden = tl.load(p_b1 + row * s_b1, mask=m_row, other=0).to(dtype)
    for c in range(0, channels, BLOCK_C):
        channel = c + tl.arange(0, BLOCK_C).to(tl.int64)
        m_channel = channel < channels
        b_mean = tl.zeros((BLOCK_C,), dtype)
        p_tile = p_sums + channel
        for _ in range(pieces):
            b_mean += tl.load(p_tile, mask=m_channel, other=0)
            p_tile += channels
        b_mean /= pixels
        tl.store(p_mean + channel, b_mean, mask=m_channel)
        b_w1 = tl.load(p_w1 + row[:, None] * s_w1_r + channel * s_w1_c, mask=m_row[:, None] & m_channel, other=0)
        b_hidden += tl.sum(b_w1.to(dtype) * b_mean, axis=1)
    b_hidden = tl.where(b_hidden < 0, 0, b_hidden)
    for c in range(0, channels, BLOCK_C):
        channel = c + tl.arange(0, BLOCK_C).to(tl.int64)
        m_channel = channel < channels
        b_w2 = tl.load(p_w2 + channel * s_w2_c + row[:, None] * s_w2_r, mask=m_row[:, None] & m_channel, other=0)
        logit = tl.sum(b_w2.to(dtype) * b_hidden[:, None], axis=0)
        logit += tl.load(p_b2 + channel * s_b2, mask=m_channel, other=0).to(dtype)
        tl.store(p_scale + channel, tl.sigmoid(logit), mask=m_channel)


@triton.jit
def _mscm_scale_fwd_kernel(
    p_out,
    p_scale,
    channels,
    pixels,
    pieces,
    parts,
    s_out_b,
    s_out_c,
    s_out_p,
    BLOCK_P: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    i_tile = tl.program_id(0) // parts
    i_sample = (i_tile // pieces).to(tl.int64)
    place = i_tile % pieces * BLOCK_P + tl.arange(0, BLOCK_P).to(tl.int64)
    channel = tl.program_id(0) % parts * BLOCK_C + tl.arange(0, BLOCK_C).to(tl.int64)
    m_channel = channel < channels
    m_out = (place < pixels)[:, None] & m_channel
    b_scale = tl.load(p_scale + i_sample * channels + channel, mask=m_channel, other=0)
    p_out += i_sample * s_out_b + place[:, None] * s_out_p + channel * s_out_c
    b_out = tl.load(p_out, mask=m_out, other=0).to(b_scale.dtype) * b_scale
    tl.store(p_out, b_out.to(p_out.dtype.element_ty), mask=m_out)
