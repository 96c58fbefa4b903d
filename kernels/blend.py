# SPDX-License-Identifier: Apache-2.0
"""Equation 3 and its gradients, a stretch of pixels with all their channels per program."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.launch import flat, launch, tiles

_BLOCK = 1024  # pixels


def blend(image: Tensor, source: Tensor, mask: Tensor, alpha: Tensor) -> Tensor:
    """(B, C, H, W) and (B, H, W) -> (B, C, H, W), contiguous."""
    batch, channels, height, width = image.shape
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    launch(
        _blend_fwd_kernel,
        batch * tiles(height * width, _BLOCK),
        *(image, source, mask, alpha, out, channels, height, width),
        *(*image.stride(), *source.stride(), *mask.stride(), alpha.stride(0)),
        FLAT=flat(image, source, mask),
        BLOCK=_BLOCK,
    )
    return out


def blend_backward(grad: Tensor, image: Tensor, source: Tensor, mask: Tensor, alpha: Tensor) -> list[Tensor]:
    """Gradients of image, source and alpha; that of alpha is added in float64."""
    batch, channels, height, width = image.shape
    pieces = tiles(height * width, _BLOCK)
    grads = [torch.empty_like(image, memory_format=torch.contiguous_format) for _ in range(2)]
    sums = torch.empty(batch, pieces, dtype=torch.float64, device=image.device)  # a piece of grad_alpha per program
    launch(
        _blend_bwd_kernel,
        batch * pieces,
        *(grad, image, source, mask, alpha, *grads, sums, channels, height, width),
        *(*grad.stride(), *image.stride(), *source.stride(), *mask.stride(), alpha.stride(0)),
        FLAT=flat(grad, image, source, mask),
        BLOCK=_BLOCK,
    )
    return [*grads, sums.sum(1).to(alpha.dtype)]


@triton.jit
def pixels(height, width, FLAT: tl.constexpr, BLOCK: tl.constexpr):
    """The program's sample, and the rows, columns, places and mask of its pixels; one long row if FLAT."""
    pieces = tl.cdiv(height * width, BLOCK)
    i_sample = (tl.program_id(0) // pieces).to(tl.int64)
    place = tl.program_id(0) % pieces * BLOCK + tl.arange(0, BLOCK)
    m_pixel = place < height * width
    row, column = (tl.zeros_like(place), place) if FLAT else (place // width, place % width)
    return i_sample, row.to(tl.int64), column.to(tl.int64), place, m_pixel


@triton.jit
def mix(b_image, b_source, alpha):
    """alpha I + (1 - alpha) I_e, in the dtype of both; bytes in fixed point."""
    dtype: tl.constexpr = b_image.dtype
    exact: tl.constexpr = tl.float64 if dtype == tl.float64 else tl.float32
    if dtype == tl.uint8:
        weight = _fixed(alpha)
        mixed = (weight * b_image.to(tl.int32) + (65536 - weight) * b_source.to(tl.int32) + 32768) >> 16
    else:
        weight = alpha.to(exact)
        mixed = weight * b_image.to(exact) + (1 - weight) * b_source.to(exact)
    return mixed.to(dtype)


@triton.jit
def _fixed(alpha):
    """alpha in 1/65536, to the nearest integer, half to even: adding 1.5 * 2^52 leaves no bit behind the point."""
    return ((alpha.to(tl.float64) * 65536 + 6755399441055744.0) - 6755399441055744.0).to(tl.int32)


@triton.jit
def _blend_fwd_kernel(
    p_image,
    p_source,
    p_mask,
    p_alpha,
    p_out,
    channels,
    height,
    width,
    s_image_b,
    s_image_c,
    s_image_y,
    s_image_x,
    s_source_b,
    s_source_c,
    s_source_y,
    s_source_x,
    s_mask_b,
    s_mask_y,
    s_mask_x,
    s_alpha,
    FLAT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    i_sample, y, x, place, m_pixel = pixels(height, width, FLAT, BLOCK)
    inside = tl.load(p_mask + i_sample * s_mask_b + y * s_mask_y + x * s_mask_x, mask=m_pixel, other=0) != 0  # (BLOCK,)
    alpha = tl.load(p_alpha + i_sample * s_alpha)
    p_image += i_sample * s_image_b + y * s_image_y + x * s_image_x
    p_source += i_sample * s_source_b + y * s_source_y + x * s_source_x
    p_out += i_sample * channels * height * width + place
    for _ in range(channels):
        b_image = tl.load(p_image, mask=m_pixel, other=0)
        b_source = tl.load(p_source, mask=inside, other=0)  # nothing is read outside
        tl.store(p_out, tl.where(inside, mix(b_image, b_source, alpha), b_image), mask=m_pixel)
        p_image += s_image_c
        p_source += s_source_c
        p_out += height * width


@triton.jit
def _blend_bwd_kernel(
    p_grad,
    p_image,
    p_source,
    p_mask,
    p_alpha,
    p_grad_image,
    p_grad_source,
    p_sums,
    channels,
    height,
    width,
    s_grad_b,
    s_grad_c,
    s_grad_y,
    s_grad_x,
    s_image_b,
    s_image_c,
    s_image_y,
    s_image_x,
    s_source_b,
    s_source_c,
    s_source_y,
    s_source_x,
    s_mask_b,
    s_mask_y,
    s_mask_x,
    s_alpha,
    FLAT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    i_sample, y, x, place, m_pixel = pixels(height, width, FLAT, BLOCK)
    inside = tl.load(p_mask + i_sample * s_mask_b + y * s_mask_y + x * s_mask_x, mask=m_pixel, other=0) != 0  # (BLOCK,)
    p_grad += i_sample * s_grad_b + y * s_grad_y + x * s_grad_x
    p_image += i_sample * s_image_b + y * s_image_y + x * s_image_x
    p_source += i_sample * s_source_b + y * s_source_y + x * s_source_x
    out = i_sample * channels * height * width + place
    dtype: tl.constexpr = p_image.dtype.element_ty
    exact: tl.constexpr = tl.float64 if dtype == tl.float64 else tl.float32
    weight = tl.load(p_alpha + i_sample * s_alpha).to(exact)
    total = tl.zeros((BLOCK,), tl.float64)
    for _ in range(channels):
        b_grad = tl.load(p_grad, mask=m_pixel, other=0).to(exact)
        b_image = tl.load(p_image, mask=inside, other=0).to(exact)
        b_source = tl.load(p_source, mask=inside, other=0).to(exact)
        tl.store(p_grad_image + out, tl.where(inside, weight * b_grad, b_grad).to(dtype), mask=m_pixel)
        tl.store(p_grad_source + out, tl.where(inside, (1 - weight) * b_grad, 0).to(dtype), mask=m_pixel)
        total += tl.where(inside, b_grad.to(tl.float64) * (b_image.to(tl.float64) - b_source.to(tl.float64)), 0)
        p_grad += s_grad_c
        p_image += s_image_c
        p_source += s_source_c
        out += height * width
    tl.store(p_sums + tl.program_id(0), tl.sum(total))
