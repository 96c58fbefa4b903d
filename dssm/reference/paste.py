# SPDX-License-Identifier: Apache-2.0
"""PasteNoise: a mask, what shows inside it, and equation 3; with CutPaste's scars and patches beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from dssm.reference.blend import blend
from dssm.reference.component import component
from dssm.reference.perlin import perlin
from dssm.reference.philox import PASTE, integer, philox

KINDS = ("noise", "scar", "patch")
NOISE, SCAR, PATCH = range(3)

STEPS = 32  # how often a threshold moves in search of the area asked for


def paste(
    image: torch.Tensor,
    source: torch.Tensor | None,
    index: torch.Tensor,
    kind: torch.Tensor,
    seed: int,
    threshold: float = 0.5,
    alpha: Sequence[float] = (0.5, 1.0),
    resolution: Sequence[int] = (0, 6),
    area: Sequence[float] = (0.0, 1.0),
    connectivity: int = 8,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """One defect per image: (image (B, C, H, W), mask (B, H, W) bool, alpha (B,) float32).

    noise: M is the largest component of perlin > threshold (`noise_mask`), the content is `source`, mixed by
    equation 3 (paper, section III-A, Fig. 4). alpha is A / 65536 with an integer A, uniform in its bounds.
    scar, patch: M is a rectangle, the content is another place of the image itself (`cut`), opaque: alpha is
    0 (Table 8).

    The stream PASTE: draw 0 holds alpha and the shape of a rectangle (`rectangle`), draw 1 its places, draws
    2, 3, ... a gain per channel. Everything but the noise is integer, or float64 where IEEE prescribes the
    result.
    """
    height, width = image.shape[2:]
    limits = area_bounds(area, height, width)
    noisy = (kind == NOISE).nonzero().squeeze(1)
    moved = (kind != NOISE).nonzero().squeeze(1)

    mask = torch.empty(len(index), height, width, dtype=torch.bool, device=image.device)
    noise = perlin(index[noisy], (height, width), seed, resolution)
    mask[noisy] = noise_mask(noise, threshold, limits, connectivity)
    pieces, mask[moved] = cut(image[moved], index[moved], kind[moved], seed, limits)
    content = (image if source is None else source).index_copy(0, moved, pieces)

    lo, hi = alpha_bounds(alpha)
    weight = integer(philox(seed, index, PASTE, 0)[0], lo, hi + 1).float() / 65536
    weight = torch.where(kind == NOISE, weight, 0)
    return blend(image, content, mask, weight), mask, weight


def alpha_bounds(alpha: Sequence[float]) -> tuple[int, int]:
    """Least and most alpha, in 1/65536."""
    return round(alpha[0] * 65536), round(alpha[1] * 65536)


def area_bounds(area: Sequence[float], height: int, width: int) -> tuple[int, int]:
    """Least and most pixels of a mask."""
    return math.ceil(area[0] * height * width), math.floor(area[1] * height * width)


def noise_mask(noise: torch.Tensor, threshold: float, limits: tuple[int, int], connectivity: int) -> torch.Tensor:
    """(B, H, W) noise -> (B, H, W) bool, the largest component of noise > level; never empty.

    level is the threshold where anything exceeds it, else peak - 0.1 |peak| with the peak of that sample. The
    peak itself always counts, so noise that is zero everywhere has a mask too.
    limits: (least, most) pixels. While the component is larger than `most`, level goes a quarter of the way
    to the peak; while it is smaller than `least` and level never had to rise, level falls by 0.05. At most 32
    such moves.
    """
    least, most = limits
    peak = noise.amax((1, 2))
    level = torch.full_like(peak, threshold)
    level = torch.where(peak > level, level, peak - 0.1 * peak.abs())
    mask = _above(noise, level, peak, connectivity)
    if least <= 1 and most >= noise[0:1].numel():
        return mask
    risen = torch.zeros_like(peak, dtype=torch.bool)
    for _ in range(STEPS):
        pixels = mask.sum((1, 2))
        large, small = pixels > most, (pixels < least) & ~risen
        wrong = (large | small).nonzero().squeeze(1)
        if not len(wrong):
            break
        risen |= large
        level = torch.where(large, level + (peak - level) / 4, torch.where(small, level - 0.05, level))
        mask[wrong] = _above(noise[wrong], level[wrong], peak[wrong], connectivity)
    return mask


def _above(noise: torch.Tensor, level: torch.Tensor, peak: torch.Tensor, connectivity: int) -> torch.Tensor:
    level, peak = level.view(-1, 1, 1), peak.view(-1, 1, 1)
    return component((noise > level) | (noise >= peak), connectivity)


def cut(
    image: torch.Tensor, index: torch.Tensor, kind: torch.Tensor, seed: int, limits: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """The image seen through the inverse map of a moved rectangle, and that rectangle's mask.

    Li, Sohn, Yoon and Pfister, "CutPaste", CVPR 2021, as an inverse map. With p the pixel and the angle in
    integer degrees, C, S = round(65536 (cos, sin)): q = (C dy - S dx, S dy + C dx) for (dy, dx) = p - centre,
    in 1/65536 pixel.
    p is inside iff -h <= 2 q_y < h and -w <= 2 q_x < w (pixels); it shows the pixel origin + floor(q + 1/2),
    held inside the image. Scars are tinted: channel c is scaled by g / 256, g in [230, 282], from word c mod
    4 of draw 2 + c div 4; uint8 becomes min(255, (v g + 128) >> 8), floats are not clipped.
    """
    batch, channels, height, width = image.shape
    shape = rectangle(index, kind, (height, width), seed, limits)
    h, w, cos, sin = (value.view(-1, 1, 1) for value in shape)
    (y, x), (from_y, from_x) = _places(index, (height, width), seed, shape)

    dy = torch.arange(height, device=image.device).view(1, -1, 1) - y.view(-1, 1, 1)
    dx = torch.arange(width, device=image.device).view(1, 1, -1) - x.view(-1, 1, 1)
    down, right = cos * dy - sin * dx, sin * dy + cos * dx  # (B, H, W), in 1/65536 pixel
    half_h, half_w = h << 15, w << 15
    mask = (-half_h <= down) & (down < half_h) & (-half_w <= right) & (right < half_w)

    rows = (from_y.view(-1, 1, 1) + (down + 32768 >> 16)).clamp(0, height - 1)
    columns = (from_x.view(-1, 1, 1) + (right + 32768 >> 16)).clamp(0, width - 1)
    at = (rows * width + columns).view(batch, 1, height * width).expand(-1, channels, -1)
    piece = image.flatten(2).gather(2, at).view(image.shape)
    return _tint(piece, _gains(index, kind, seed, channels)), mask


def rectangle(
    index: torch.Tensor, kind: torch.Tensor, size: tuple[int, int], seed: int, limits: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """(h, w, C, S), int64 (B,): height and width in pixels, cosine and sine in 1/65536.

    Words 1, 2 and 3 of draw 0 are area, h / w and the side of 1 that h / w lies on, or h, w and angle.
    patch: area 2-15 % of the image by 0.001 %; h / w in [0.3, 1] or [1, 3.3] by 0.001; upright.
    scar: h is 10-25 and w 2-16 pixels per 256 of the image's shorter side; -45 to 45 degrees.
    A rectangle with fewer than limits[0] or more than limits[1] pixels is scaled in both directions.
    """
    height, width = size
    _, first, second, third = philox(seed, index, PASTE, 0)
    share = integer(first, 2000, 15001) * (height * width)
    slender, stout = integer(second, 300, 1001), integer(second, 1000, 3301)
    aspect = torch.where(integer(third, 0, 2) == 0, slender, stout)
    patch_h = _root(share * aspect, 10**8).long()
    patch_w = _root(share, 100 * aspect).long()

    side = min(size)
    scar_h = integer(first, 10 * 256, 25 * 256 + 1) * side + 32768 >> 16
    scar_w = integer(second, 2 * 256, 16 * 256 + 1) * side + 32768 >> 16

    scar = kind == SCAR
    degrees = torch.where(scar, integer(third, -45, 46), 0).double()
    h, w = _fit(torch.where(scar, scar_h, patch_h), torch.where(scar, scar_w, patch_w), size, limits)
    radians = degrees * (math.pi / 180)
    return h, w, (radians.cos() * 65536).round().long(), (radians.sin() * 65536).round().long()


def _fit(
    h: torch.Tensor, w: torch.Tensor, size: tuple[int, int], limits: tuple[int, int]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sides inside the image and at least 1, with least <= h w <= most where that can be; most wins."""
    height, width = size
    least, most = limits
    h, w = h.clamp(1, height), w.clamp(1, width)
    small = h * w < least
    taller, wider = _root(h * least, w).ceil().long(), _root(w * least, h).ceil().long()
    h, w = torch.where(small, taller, h).clamp(1, height), torch.where(small, wider, w).clamp(1, width)
    large = h * w > most
    lower, narrower = _root(h * most, w).long(), _root(w * most, h).long()
    h, w = torch.where(large, lower, h).clamp(min=1), torch.where(large, narrower, w).clamp(min=1)
    h = torch.minimum(h, most // w).clamp(min=1)
    return h, torch.minimum(w, most // h).clamp(min=1)


def _root(numerator: torch.Tensor, denominator: torch.Tensor | int) -> torch.Tensor:
    """sqrt(a / b) in float64, exact integers: both steps are correctly rounded, so every backend agrees."""
    return (numerator.double() / denominator).sqrt()


def _places(
    index: torch.Tensor, size: tuple[int, int], seed: int, shape: tuple[torch.Tensor, ...]
) -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Centres (y, x) of the rectangle and of its origin; both boxes inside the image as far as they fit."""
    height, width = size
    h, w, cos, sin = shape
    box_h = h * cos + w * sin.abs() + 65535 >> 16
    box_w = w * cos + h * sin.abs() + 65535 >> 16
    y, x, from_y, from_x = philox(seed, index, PASTE, 1)
    centre = _centre(y, box_h, height), _centre(x, box_w, width)
    return centre, (_centre(from_y, h, height), _centre(from_x, w, width))


def _centre(word: torch.Tensor, extent: torch.Tensor, length: int) -> torch.Tensor:
    extent = extent.clamp(max=length)
    return integer(word, extent // 2, length - (extent + 1) // 2 + 1)


def _gains(index: torch.Tensor, kind: torch.Tensor, seed: int, channels: int) -> torch.Tensor:
    """(B, C) int64 gains in 1/256; 256 where the kind has none."""
    draws = torch.arange(2, 2 + (channels + 3) // 4, device=index.device)
    words = torch.stack(philox(seed, index.unsqueeze(1), PASTE, draws), -1).flatten(1)[:, :channels]
    return torch.where((kind == SCAR).unsqueeze(1), integer(words, 230, 283), 256)


def _tint(image: torch.Tensor, gains: torch.Tensor) -> torch.Tensor:
    gains = gains.view(*gains.shape, 1, 1)
    if image.dtype == torch.uint8:
        return (image * gains.int() + 128 >> 8).clamp(max=255).to(torch.uint8)
    exact = torch.promote_types(image.dtype, torch.float32)
    return (image.to(exact) * (gains.to(exact) / 256)).to(image.dtype)
