# SPDX-License-Identifier: Apache-2.0
"""PasteNoise, scars and patches in three launches: noise over tiles, a mask per program, pixels in stretches."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from dssm.kernels.blend import mix, pixels
from dssm.kernels.component import scratch
from dssm.kernels.component_runs import keep, unpack, words
from dssm.kernels.launch import flat, launch, tiles
from dssm.kernels.paste_noise import _paste_noise_fwd_kernel, peak_of, search
from dssm.kernels.paste_rectangle import SHAPE, load_shape, locate, rectangle, shown_near, store_shape
from dssm.kernels.perlin import BAND, TILE, bands
from dssm.kernels.philox import integer, philox
from dssm.reference.paste import NOISE, SCAR, alpha_bounds, area_bounds
from dssm.reference.philox import PASTE

_BLOCK = 1024  # pixels that a program changes
_WORDS = 512  # of 32 pixels, that a program looks for a mask in at a time

_NOISE, _SCAR, _PASTE = tl.constexpr(NOISE), tl.constexpr(SCAR), tl.constexpr(PASTE)
_SHAPE = tl.constexpr(SHAPE)


def paste(
    image: Tensor,
    source: Tensor | None,
    index: Tensor,
    kind: Tensor,
    seed: int,
    threshold: float,
    alpha: list[float],
    resolution: list[int],
    area: list[float],
    connectivity: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """(B, C, H, W) -> image (B, C, H, W), mask (B, H, W), alpha (B,), all contiguous."""
    batch, channels, height, width = image.shape
    mask, *plan = _draw(image, index, kind, seed, threshold, alpha, resolution, area, connectivity)
    out = torch.empty_like(image, memory_format=torch.contiguous_format)
    other = image if source is None else source
    launch(
        _paste_fwd_kernel,
        batch * tiles(height * width, _BLOCK),
        *(image, other, kind, mask, *plan, out, kind.stride(0), channels, height, width),
        *(*image.stride(), *other.stride()),
        FLAT=flat(image, other),
        BLOCK=_BLOCK,
    )
    return out, mask, plan[0]


def paste_backward(
    grad: Tensor,
    image: Tensor,
    source: Tensor | None,
    index: Tensor,
    kind: Tensor,
    seed: int,
    threshold: float,
    alpha: list[float],
    resolution: list[int],
    area: list[float],
    connectivity: int,
) -> list[Tensor]:
    """Gradients of image and, if given, source; masks are drawn again rather than kept."""
    batch, channels, height, width = image.shape
    mask, *plan = _draw(image, index, kind, seed, threshold, alpha, resolution, area, connectivity)
    grads = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (image, source) if x is not None]
    launch(
        _paste_bwd_kernel,
        batch * tiles(height * width, _BLOCK),
        *(grad, kind, mask, *plan, grads[0], grads[-1], kind.stride(0), channels, height, width, *grad.stride()),
        warps=16,
        FLAT=flat(grad),
        BLOCK=_BLOCK,
        SOURCE=source is not None,
    )
    return grads


def _draw(
    image: Tensor,
    index: Tensor,
    kind: Tensor,
    seed: int,
    threshold: float,
    alpha: list[float],
    resolution: list[int],
    area: list[float],
    connectivity: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mask (B, H, W), alpha (B,), shape of the rectangle (B, 8) and gains (B, C); the last two unset for noise."""
    batch, channels, height, width = image.shape
    device, programs = image.device, bands(height, width)
    mask = torch.empty(batch, height, width, dtype=torch.bool, device=device)
    weight = torch.empty(batch, dtype=torch.float32, device=device)
    shape = torch.empty(batch, SHAPE, dtype=torch.int64, device=device)
    gain = torch.empty(batch, channels, dtype=torch.int32, device=device)
    noise = torch.empty(batch, height, width, dtype=torch.float32, device=device)
    peak = torch.empty(batch, programs, dtype=torch.float32, device=device)
    word, parent, node_area = scratch(batch, height, width, device)
    launch(
        _paste_noise_fwd_kernel,
        batch * programs,
        *(index, kind, noise, word, peak, index.stride(0), kind.stride(0), height, width),
        *(seed, *resolution, threshold),
        warps=8,
        fuse=True,
        BAND=BAND,
        TILE=TILE,
    )
    launch(
        _paste_mask_fwd_kernel,
        batch,
        *(index, kind, noise, word, parent, node_area, peak, mask, weight, shape, gain),
        *(index.stride(0), kind.stride(0), programs, channels, height, width),
        *(seed, threshold, *alpha_bounds(alpha), *area_bounds(area, height, width)),
        warps=8,
        registers=128,
        CONNECTIVITY=connectivity,
        GAINS=triton.next_power_of_2(tiles(channels, 4)),
        WORDS=_WORDS,
    )
    return mask, weight, shape, gain


@triton.jit
def _paste_mask_fwd_kernel(
    p_index,
    p_kind,
    p_noise,
    p_word,
    p_parent,
    p_area,
    p_peak,
    p_mask,
    p_weight,
    p_shape,
    p_gain,
    s_index,
    s_kind,
    peaks,
    channels,
    height,
    width,
    seed,
    threshold,
    alpha_lo,
    alpha_hi,
    least,
    most,
    CONNECTIVITY: tl.constexpr,
    GAINS: tl.constexpr,
    WORDS: tl.constexpr,
):
    """All that is drawn for a sample, a program each: what shows through its mask, how strongly, and the mask."""
    i_sample = tl.program_id(0).to(tl.int64)
    index, kind = tl.load(p_index + i_sample * s_index), tl.load(p_kind + i_sample * s_kind)
    few: tl.constexpr = WORDS // 8  # words whose pixels fit into registers
    pitch = tl.cdiv(width, 32)
    count = height * pitch
    p_mask += i_sample * height * width
    if kind == _NOISE:
        p_word += i_sample * count
        p_parent += i_sample * count * 16
        p_area += i_sample * count * 16
        peak = peak_of(p_peak + i_sample * peaks, peaks, WORDS)
        p_noise += i_sample * height * width
        bounds = threshold, least, most
        key = search(p_noise, p_word, p_parent, p_area, peak, bounds, height, width, CONNECTIVITY, WORDS)
        for first in range(0, count, few):
            i_word, m_word, y, x = words(first, count, pitch, few)
            word = keep(p_parent, i_word, tl.load(p_word + i_word, mask=m_word, other=0), key)
            tl.store(p_mask + y * width + x, unpack(word), mask=m_word[:, None] & (x < width))
        weight = integer(philox(seed, index, _PASTE, 0)[0], alpha_lo, alpha_hi + 1)
        tl.store(p_weight + i_sample, weight.to(tl.float32) * (1 / 65536))
    else:
        shape = rectangle(seed, index, kind, height, width, least, most)
        store_shape(p_shape + i_sample * _SHAPE, shape)
        for first in range(0, count, few):
            _, m_word, y, x = words(first, count, pitch, few)
            tl.store(p_mask + y * width + x, locate(shape, y, x)[0], mask=m_word[:, None] & (x < width))
        tl.store(p_weight + i_sample, tl.cast(0, tl.float32))
        draw = tl.arange(0, GAINS)
        draws = philox(seed, index, _PASTE, draw + 2)
        for i in tl.static_range(4):
            channel = draw * 4 + i
            gain = tl.where(kind == _SCAR, integer(draws[i], 230, 283), 256).to(tl.int32)  # in 1/256
            tl.store(p_gain + i_sample * channels + channel, gain, mask=channel < channels)


@triton.jit
def _paste_fwd_kernel(
    p_image,
    p_source,
    p_kind,
    p_mask,
    p_weight,
    p_shape,
    p_gain,
    p_out,
    s_kind,
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
    FLAT: tl.constexpr,
    BLOCK: tl.constexpr,
):
    i_sample, y, x, place, m_pixel = pixels(height, width, FLAT, BLOCK)
    kind = tl.load(p_kind + i_sample * s_kind)
    weight = tl.load(p_weight + i_sample)
    inside = tl.load(p_mask + i_sample * height * width + place, mask=m_pixel, other=0) != 0  # (BLOCK,)
    noisy = tl.broadcast_to(kind, (BLOCK,)) == _NOISE
    m_source, m_moved = inside & noisy, inside & ~noisy
    p_image += i_sample * s_image_b
    p_moved = p_image + place * 0
    if kind != _NOISE:
        shape = load_shape(p_shape + i_sample * _SHAPE)
        _, row, column = locate(shape, place // width, place % width)
        row, column = tl.minimum(tl.maximum(row, 0), height - 1), tl.minimum(tl.maximum(column, 0), width - 1)
        p_moved += row * s_image_y + column * s_image_x
    p_image += y * s_image_y + x * s_image_x
    p_source += i_sample * s_source_b + y * s_source_y + x * s_source_x
    p_gain += i_sample * channels
    p_out += i_sample * channels * height * width + place
    for _ in range(channels):
        b_image = tl.load(p_image, mask=m_pixel, other=0)
        b_source = tl.load(p_source, mask=m_source, other=0)
        b_moved = tl.load(p_moved, mask=m_moved, other=0)
        gain = tl.load(p_gain, mask=kind != _NOISE, other=256)
        b_shown = tl.where(m_moved, _tint(b_moved, gain), b_source)
        tl.store(p_out, tl.where(inside, mix(b_image, b_shown, weight), b_image), mask=m_pixel)
        p_image += s_image_c
        p_source += s_source_c
        p_moved += s_image_c
        p_gain += 1
        p_out += height * width


@triton.jit
def _tint(value, gain):
    """gain / 256 of a value, in its dtype; bytes are clipped."""
    dtype: tl.constexpr = value.dtype
    exact: tl.constexpr = tl.float64 if dtype == tl.float64 else tl.float32
    if dtype == tl.uint8:
        tinted = tl.minimum((value.to(tl.int32) * gain + 128) >> 8, 255)
    else:
        tinted = value.to(exact) * (gain.to(exact) * (1 / 256))
    return tinted.to(dtype)


@triton.jit
def _paste_bwd_kernel(
    p_grad,
    p_kind,
    p_mask,
    p_weight,
    p_shape,
    p_gain,
    p_grad_image,
    p_grad_source,
    s_kind,
    channels,
    height,
    width,
    s_grad_b,
    s_grad_c,
    s_grad_y,
    s_grad_x,
    FLAT: tl.constexpr,
    BLOCK: tl.constexpr,
    SOURCE: tl.constexpr,
):
    i_sample, y, x, place, m_pixel = pixels(height, width, FLAT, BLOCK)
    kind = tl.load(p_kind + i_sample * s_kind)
    inside = tl.load(p_mask + i_sample * height * width + place, mask=m_pixel, other=0) != 0  # (BLOCK,)
    p_grad += i_sample * s_grad_b
    p_gain += i_sample * channels
    out = i_sample * channels * height * width + place
    dtype: tl.constexpr = p_grad.dtype.element_ty
    exact: tl.constexpr = tl.float64 if dtype == tl.float64 else tl.float32
    weight = tl.load(p_weight + i_sample).to(exact)
    row, column = (place // width).to(tl.int64), (place % width).to(tl.int64)
    for _ in range(channels):
        b_grad = tl.load(p_grad + y * s_grad_y + x * s_grad_x, mask=m_pixel, other=0)
        through = tl.where(inside, (weight * b_grad.to(exact)).to(dtype), b_grad)
        if kind != _NOISE:
            shape = load_shape(p_shape + i_sample * _SHAPE)
            gain = tl.load(p_gain)
            near_y, near_x = shown_near(shape, row, column)
            # A pixel shows at none, one or two others; where origins are held inside the image, at a few more.
            for dy in range(-1, 3):
                for dx in range(-1, 3):
                    to_y, to_x = near_y + dy, near_x + dx
                    covered, from_y, from_x = locate(shape, to_y, to_x)
                    covered = covered & (to_y >= 0) & (to_y < height) & (to_x >= 0) & (to_x < width)
                    same = (tl.minimum(from_y, height - 1) == row) & (tl.minimum(from_x, width - 1) == column)
                    m_shown = m_pixel & covered & same
                    b_shown = tl.load(p_grad + to_y * s_grad_y + to_x * s_grad_x, mask=m_shown, other=0)
                    total = through.to(exact) + _tint(b_shown, gain).to(exact)
                    through = tl.where(m_shown, total.to(dtype), through)
        tl.store(p_grad_image + out, through, mask=m_pixel)
        if SOURCE:
            noisy = tl.broadcast_to(kind, (BLOCK,)) == _NOISE
            rest = tl.where(inside & noisy, (1 - weight) * b_grad.to(exact), 0)
            tl.store(p_grad_source + out, rest.to(dtype), mask=m_pixel)
        p_grad += s_grad_c
        p_gain += 1
        out += height * width
