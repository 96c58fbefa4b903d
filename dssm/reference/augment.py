# SPDX-License-Identifier: Apache-2.0
"""The six RandAugment operations of PasteNoise, in integers, equal to Pillow bit for bit."""

from __future__ import annotations

import torch

from dssm.reference.philox import AUGMENT, integer, philox


def augment(image: torch.Tensor, index: torch.Tensor, seed: int, count: int = 3) -> torch.Tensor:
    """(B, C, H, W) uint8 -> the same, after `count` of the six operations.

    `plan` says which, in which order and how strongly; each changes what the one before it left.
    Paper, section III-A; Zavrtanik, Kristan and Skocaj, "DRAEM", ICCV 2021.
    """
    out = image.clone(memory_format=torch.contiguous_format)
    chosen, magnitudes = plan(index, seed, count)
    for step in range(count):
        for number, operation in enumerate(OPERATIONS):
            samples = (chosen[:, step] == number).nonzero().squeeze(1)
            if len(samples):
                out[samples] = operation(out[samples], magnitudes[samples, step].int().view(-1, 1, 1, 1))
    return out


def plan(index: torch.Tensor, seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, count) positions in OPERATIONS and (B, count) magnitudes, int64, in the unit of each operation.

    Step s takes draw s of the stream AUGMENT: word 0 picks among the operations not yet taken (Fisher-Yates:
    position s is swapped with one in [s, 6)), word 1 the magnitude in the operation's range.
    """
    steps = torch.arange(count, device=index.device)
    pick, strength, _, _ = philox(seed, index.unsqueeze(1), AUGMENT, steps)  # (B, count)
    order = torch.arange(len(OPERATIONS), device=index.device).repeat(len(index), 1)
    for step in range(count):
        other = integer(pick[:, step : step + 1], step, len(OPERATIONS))
        taken = order.gather(1, other)
        order.scatter_(1, other, order[:, step : step + 1].clone())
        order[:, step : step + 1] = taken
    chosen = order[:, :count]
    lo, hi = torch.tensor(RANGES, device=index.device).unbind(1)
    return chosen, integer(strength, lo[chosen], hi[chosen])


def autocontrast(image: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    """Stretch each channel to [0, 255], in float64 as Pillow does; a flat channel stays."""
    low, high = image.amin((2, 3), keepdim=True).double(), image.amax((2, 3), keepdim=True).double()
    # Not 255 / tensor: that multiplies by a rounded reciprocal.
    scale = torch.full_like(low, 255) / (high - low)
    stretched = image.double() * scale + -low * scale
    return torch.where(high > low, stretched.clamp(0, 255).to(torch.uint8), image)


def posterize(image: torch.Tensor, bits: torch.Tensor) -> torch.Tensor:
    """Keep the highest `bits` bits."""
    return (image >> (8 - bits) << (8 - bits)).to(torch.uint8)


def solarize(image: torch.Tensor, threshold: torch.Tensor) -> torch.Tensor:
    """Invert the values from `threshold` on."""
    return torch.where(image < threshold, image, 255 - image)


def sharpness(image: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Away from the smoothed image, or towards it."""
    return _enhance(_smooth(image), image, factor)


def brightness(image: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Away from black, or towards it."""
    return _enhance(torch.zeros_like(image), image, factor)


def color(image: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Away from the grey image, or towards it. One channel has no colour to change."""
    if image.shape[1] == 1:
        return image
    red, green, blue = image.int().unbind(1)
    grey = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16
    return _enhance(grey.unsqueeze(1), image, factor)


OPERATIONS = (autocontrast, posterize, solarize, sharpness, brightness, color)
# Magnitudes lie in [lo, hi): bits, a grey value, and factors in 1/256, which Pillow's float32 holds exactly.
RANGES = ((0, 1), (4, 8), (32, 224), (26, 487), (26, 487), (26, 487))


def _enhance(degenerate: torch.Tensor, image: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """degenerate + factor / 256 (image - degenerate), cut to integers and clipped."""
    degenerate = degenerate.int()
    return ((256 * degenerate + factor * (image.int() - degenerate)) >> 8).clamp(0, 255).to(torch.uint8)


def _smooth(image: torch.Tensor) -> torch.Tensor:
    """Pillow's SMOOTH: a 3x3 mean that counts its centre five times, rounded; the border is copied."""
    out = image.clone()
    if min(image.shape[2:]) < 3:
        return out
    wide = image.short()
    inner = wide[:, :, 1:-1, 1:-1]
    rows = wide[:, :, :-2] + wide[:, :, 1:-1] + wide[:, :, 2:]
    total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * inner
    # 13 is odd: total / 13 is never half way between integers, so this rounds as Pillow's floats do.
    out[:, :, 1:-1, 1:-1] = ((2 * total + 13) // 26).to(torch.uint8)
    return out
