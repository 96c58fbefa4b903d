# SPDX-License-Identifier: Apache-2.0
"""From the gradient of the blocks to that of the pixels.

A pixel first collects what its vote was worth to the blocks around it, and so what its differences were worth; then it
collects from its neighbours' differences. Nothing is scattered: every order of the programs gives the same bits.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.hog_gradient import pixels, strongest, wide
from dssm.kernels.hog_votes import hard_bins, shared_votes, shared_votes_backward, window
from dssm.kernels.launch import launch, tiles

_BLOCK = 2048  # pixels


def pixels_backward(
    by_blocks: Tensor, image: Tensor, bins: int, cell: list[int], block: list[int], sqrt: bool, mode: str
) -> Tensor:
    """(B, D), (B, C, H, W) -> (B, C, H, W), of the dtype of the first."""
    batch, channels, height, width = image.shape
    exact = by_blocks.dtype == torch.float64
    pixels = _BLOCK >> 3 * exact
    programs = batch * tiles(height * width, pixels)
    steps = by_blocks.new_empty(2, batch, height, width)  # gradients of dy and dx
    chosen = torch.empty(batch, height, width, dtype=torch.int32, device=image.device)  # the channel that voted
    out = by_blocks.new_empty(image.shape)
    launch(
        _hog_votes_bwd_kernel,
        programs,
        *(image, by_blocks, steps, chosen, batch, channels, height, width, *image.stride()),
        EXACT=exact,
        WIDE=wide(image),
        SQRT=sqrt,
        OPENCV=mode == "opencv",
        BINS=bins,
        CELL=tuple(cell),
        BLOCK=tuple(block),
        PIXELS=pixels,
        warps=8,
    )
    launch(
        _hog_steps_bwd_kernel,
        programs,
        *(image, steps, chosen, out, batch, channels, height, width, *image.stride()),
        EXACT=exact,
        WIDE=wide(image),
        SQRT=sqrt,
        PIXELS=pixels,
        warps=8,
    )
    return out


@triton.jit
def _pixels_of(height, width, WIDE: tl.constexpr, PIXELS: tl.constexpr):
    """The program's sample, and the places, rows, columns and mask of its pixels."""
    pieces = tl.cdiv(height * width, PIXELS)
    place = (tl.program_id(0) % pieces * PIXELS + tl.arange(0, PIXELS)).to(tl.int64 if WIDE else tl.int32)
    return (tl.program_id(0) // pieces).to(tl.int64), place, place // width, place % width, place < height * width


@triton.jit
def _hog_votes_bwd_kernel(
    p_image,
    p_blocks,
    p_steps,
    p_chosen,
    batch,
    channels,
    height,
    width,
    s_image_b,
    s_image_c,
    s_image_y,
    s_image_x,
    EXACT: tl.constexpr,
    WIDE: tl.constexpr,
    SQRT: tl.constexpr,
    OPENCV: tl.constexpr,
    BINS: tl.constexpr,
    CELL: tl.constexpr,
    BLOCK: tl.constexpr,
    PIXELS: tl.constexpr,
):
    REAL: tl.constexpr = tl.float64 if EXACT else tl.float32
    size, strides = (height, width), (s_image_y, s_image_x)
    sample, place, y, x, m_pixel = _pixels_of(height, width, WIDE, PIXELS)
    p_image += sample * s_image_b
    dy, dx, channel = strongest(p_image, channels, s_image_c, y, x, m_pixel, size, size, strides, REAL, SQRT, False)
    rows, columns = height // CELL[0] - BLOCK[0] + 1, width // CELL[1] - BLOCK[1] + 1
    COUNT: tl.constexpr = BLOCK[0] * BLOCK[1] * BINS
    p_blocks += sample * rows * columns * COUNT
    magnitude = tl.sqrt(dy * dy + dx * dx)
    if OPENCV:
        lower, upper, _, _ = shared_votes(dy, dx, magnitude, BINS)
    else:
        lower = hard_bins(dy, dx, BINS)
        upper = lower
    by_lower = tl.zeros((PIXELS,), REAL)
    by_upper = tl.zeros((PIXELS,), REAL)
    for cell_y in range(BLOCK[0]):  # the pixel's cell within the block
        for cell_x in range(BLOCK[1]):
            row, column = y // CELL[0] - cell_y, x // CELL[1] - cell_x
            m_block = m_pixel & (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
            if OPENCV:
                p_block = p_blocks + (column * rows + row).to(tl.int64) * COUNT
                for target_x in range(BLOCK[1]):
                    weight_x = window(cell_x * CELL[1] + x % CELL[1], target_x, 1, CELL, BLOCK, REAL)
                    for target_y in range(BLOCK[0]):
                        weight = weight_x * window(cell_y * CELL[0] + y % CELL[0], target_y, 0, CELL, BLOCK, REAL)
                        m_weight = m_block & (weight > 0)
                        by_lower += weight * tl.load(p_block + lower, mask=m_weight, other=0)
                        by_upper += weight * tl.load(p_block + upper, mask=m_weight, other=0)
                        p_block += BINS
            else:
                p_block = p_blocks + (row * columns + column).to(tl.int64) * COUNT
                p_block += (cell_y * BLOCK[1] + cell_x) * BINS
                by_lower += tl.load(p_block + lower, mask=m_block, other=0)
    if OPENCV:
        back_y, back_x = shared_votes_backward(dy, dx, magnitude, by_lower, by_upper, BINS)
    else:
        pull = by_lower / (CELL[0] * CELL[1]) / tl.where(magnitude == 0, 1, magnitude)
        back_y, back_x = dy * pull, dx * pull
    # Across a border of the image the difference is constant.
    back_y = tl.where((y > 0) & (y + 1 < height), back_y, 0)
    back_x = tl.where((x > 0) & (x + 1 < width), back_x, 0)
    p_steps += sample * height * width + place
    tl.store(p_steps, back_y, mask=m_pixel)
    tl.store(p_steps + tl.cast(batch, tl.int64) * height * width, back_x, mask=m_pixel)
    tl.store(p_chosen + sample * height * width + place, channel, mask=m_pixel)


@triton.jit
def _earned(p_steps, p_chosen, place, channel, mask):
    """What a neighbour's difference is worth to a channel: nothing if it was taken in another one."""
    chosen = tl.load(p_chosen + place, mask=mask, other=-1) == channel
    return tl.load(p_steps + place, mask=mask & chosen, other=0)


@triton.jit
def _hog_steps_bwd_kernel(
    p_image,
    p_steps,
    p_chosen,
    p_out,
    batch,
    channels,
    height,
    width,
    s_image_b,
    s_image_c,
    s_image_y,
    s_image_x,
    EXACT: tl.constexpr,
    WIDE: tl.constexpr,
    SQRT: tl.constexpr,
    PIXELS: tl.constexpr,
):
    REAL: tl.constexpr = tl.float64 if EXACT else tl.float32
    size, strides = (height, width), (s_image_y, s_image_x)
    sample, place, y, x, m_pixel = _pixels_of(height, width, WIDE, PIXELS)
    p_image += sample * s_image_b
    p_dy = p_steps + sample * height * width
    p_dx = p_dy + tl.cast(batch, tl.int64) * height * width
    p_chosen += sample * height * width
    p_out += sample * channels * height * width + place
    for channel in range(channels):
        earned = _earned(p_dy, p_chosen, place - width, channel, m_pixel & (y > 0))
        earned -= _earned(p_dy, p_chosen, place + width, channel, m_pixel & (y + 1 < height))
        earned += _earned(p_dx, p_chosen, place - 1, channel, m_pixel & (x > 0))
        earned -= _earned(p_dx, p_chosen, place + 1, channel, m_pixel & (x + 1 < width))
        if SQRT:
            value = pixels(p_image, y, x, m_pixel, size, size, strides, REAL, SQRT, False)
            earned = tl.where(value == 0, 0, earned / (2 * tl.where(value == 0, 1, value)))
        tl.store(p_out, earned, mask=m_pixel)
        p_image += s_image_c
        p_out += height * width
