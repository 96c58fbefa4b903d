# SPDX-License-Identifier: Apache-2.0
"""The six RandAugment operations, a launch per step and a stretch of pixels with all their channels per program."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.augment_plan import plan
from dssm.kernels.launch import launch, tiles

_BLOCK = 2048  # pixels: 16 bytes for each thread
AUTOCONTRAST, POSTERIZE, SOLARIZE, SHARPNESS, BRIGHTNESS, COLOR = (tl.constexpr(number) for number in range(6))


def augment(image: Tensor, index: Tensor, seed: int, count: int) -> Tensor:
    """(B, C, H, W) uint8 -> the same, contiguous."""
    return follow(image, plan(index, seed, count))


def follow(image: Tensor, steps: Tensor) -> Tensor:
    """The operations whose numbers and magnitudes are steps (B, count, 2) int32, one after the other."""
    batch, channels, height, width = image.shape
    count = steps.shape[1]
    if not count:
        return image.clone(memory_format=torch.contiguous_format)
    image = image.contiguous()
    pieces = tiles(height * width, _BLOCK)
    # Of what every step reads: the largest value of each channel, and 255 less the smallest.
    extremes = torch.zeros(count, batch, channels, 2, dtype=torch.int32, device=image.device)
    launch(
        _augment_extremes_fwd_kernel,
        batch * pieces,
        *(image, steps, extremes, count, channels, height * width, pieces),
        BLOCK=_BLOCK,
    )
    for step in range(count):
        out = torch.empty_like(image)
        last = step + 1 == count
        launch(
            _augment_step_fwd_kernel,
            batch * pieces,
            *(image, out, steps, extremes[step], None if last else extremes[step + 1]),
            *(step, count, channels, height, width, pieces),
            BLOCK=_BLOCK,
        )
        image = out
    return image


@triton.jit
def _stretch(b_value, low, high):
    """low to high becomes 0 to 255, in float64 as in Pillow; one value alone stays."""
    scale = 255.0 / tl.maximum(high - low, 1).to(tl.float64)
    stretched = b_value.to(tl.float64) * scale + -low.to(tl.float64) * scale
    stretched = tl.minimum(tl.maximum(stretched, 0.0), 255.0).to(tl.int32)
    return tl.where(high > low, stretched, b_value)


@triton.jit
def _enhance(degenerate, b_value, factor):
    """degenerate + factor / 256 (value - degenerate), cut to integers and clipped."""
    return tl.minimum(tl.maximum((256 * degenerate + factor * (b_value - degenerate)) >> 8, 0), 255)


@triton.jit
def _smooth(p_pixel, b_value, place, height, width, m_pixel):
    """A 3x3 mean that counts its centre five times, rounded as Pillow rounds it; the border is copied."""
    y, x = place // width, place % width
    m_inner = m_pixel & (y > 0) & (y < height - 1) & (x > 0) & (x < width - 1)
    total = 4 * b_value
    p_pixel -= width
    for _ in range(3):
        total += tl.load(p_pixel - 1, mask=m_inner, other=0).to(tl.int32)
        total += tl.load(p_pixel, mask=m_inner, other=0).to(tl.int32)
        total += tl.load(p_pixel + 1, mask=m_inner, other=0).to(tl.int32)
        p_pixel += width
    return tl.where(m_inner, (2 * total + 13) // 26, b_value)


@triton.jit
def _note_extremes(p_extremes, b_value, m_pixel):
    """Integers: the order of the programs changes nothing."""
    tl.atomic_max(p_extremes, tl.max(tl.where(m_pixel, b_value, 0)), sem="relaxed")
    tl.atomic_max(p_extremes + 1, tl.max(tl.where(m_pixel, 255 - b_value, 0)), sem="relaxed")


@triton.jit
def _augment_extremes_fwd_kernel(p_image, p_steps, p_extremes, count, channels, area, pieces, BLOCK: tl.constexpr):
    i_sample = (tl.program_id(0) // pieces).to(tl.int64)
    if tl.load(p_steps + i_sample * count * 2) == AUTOCONTRAST:
        place = tl.program_id(0) % pieces * BLOCK + tl.arange(0, BLOCK)
        p_pixel = p_image + i_sample * channels * area + place
        p_extremes += i_sample * channels * 2
        for _ in range(channels):
            b_value = tl.load(p_pixel, mask=place < area, other=0).to(tl.int32)
            _note_extremes(p_extremes, b_value, place < area)
            p_pixel += area
            p_extremes += 2


@triton.jit(do_not_specialize=["step"])
def _augment_step_fwd_kernel(
    p_image,
    p_out,
    p_steps,
    p_extremes,
    p_next,
    step,
    count,
    channels,
    height,
    width,
    pieces,
    BLOCK: tl.constexpr,
):
    i_sample = (tl.program_id(0) // pieces).to(tl.int64)
    place = tl.program_id(0) % pieces * BLOCK + tl.arange(0, BLOCK)
    area = height * width
    m_pixel = place < area
    p_image += i_sample * channels * area + place
    p_out += i_sample * channels * area + place
    p_extremes += i_sample * channels * 2
    p_steps += (i_sample * count + step) * 2
    number, magnitude = tl.load(p_steps), tl.load(p_steps + 1)
    if p_next is not None:
        p_next += i_sample * channels * 2
        stretch_next = tl.load(p_steps + 2) == AUTOCONTRAST
    grey = tl.zeros((BLOCK,), tl.int32)
    if (number == COLOR) & (channels == 3):
        red = tl.load(p_image, mask=m_pixel, other=0).to(tl.int32)
        green = tl.load(p_image + area, mask=m_pixel, other=0).to(tl.int32)
        blue = tl.load(p_image + 2 * area, mask=m_pixel, other=0).to(tl.int32)
        grey = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    for _ in range(channels):
        b_value = tl.load(p_image, mask=m_pixel, other=0).to(tl.int32)
        if number == AUTOCONTRAST:
            b_value = _stretch(b_value, 255 - tl.load(p_extremes + 1), tl.load(p_extremes))
        elif number == POSTERIZE:
            b_value = b_value >> (8 - magnitude) << (8 - magnitude)
        elif number == SOLARIZE:
            b_value = tl.where(b_value < magnitude, b_value, 255 - b_value)
        elif number == SHARPNESS:
            b_value = _enhance(_smooth(p_image, b_value, place, height, width, m_pixel), b_value, magnitude)
        elif number == BRIGHTNESS:
            b_value = _enhance(tl.zeros_like(b_value), b_value, magnitude)
        elif channels == 3:  # one channel has no colour to change
            b_value = _enhance(grey, b_value, magnitude)
        tl.store(p_out, b_value.to(tl.uint8), mask=m_pixel)
        if p_next is not None:
            if stretch_next:
                _note_extremes(p_next, b_value, m_pixel)
            p_next += 2
        p_image += area
        p_out += area
        p_extremes += 2
