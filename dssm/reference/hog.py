# SPDX-License-Identifier: Apache-2.0
"""Histograms of oriented gradients (Dalal and Triggs, 2005), as scikit-image and as OpenCV define them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F

# OpenCV's arc tangent on [0, 1]: an odd polynomial, 1.7e-4 radians off at most.
_ARCTAN = (0.9997878412794807, -0.3258083974640975, 0.1555786518463281, -0.04432655554792128)


def hog(
    image: torch.Tensor,
    orientations: int,
    cell: list[int],
    block: list[int],
    norm: str,
    sqrt: bool,
    mode: str,
    size: list[int] | None,
) -> torch.Tensor:
    """(B, C, H, W) -> (B, D); the regression target of eq. 5 is this on a 64 x 128 window.

    Every pixel votes with the gradient of its strongest channel: magnitude m, unsigned angle a in [0, 180)
    degrees. scikit-image: m goes to the one bin that holds a, averaged over the cell. OpenCV: m is shared
    linearly between the two nearest bins and the nearest cells of a block, under a Gaussian window on the
    block. Every block of cells is normalised.
    """
    result = torch.float64 if image.dtype == torch.float64 else torch.float32
    # Differences of square roots can meet a bin's edge exactly, and scikit-image decides those in float64.
    exact = image.dtype == torch.uint8 and sqrt and mode == "skimage" and not size
    image = image.to(torch.float64 if exact else result)
    if size:
        image = resize(image, size)
    if sqrt:
        # torch's float32 root is one ulp off at times, enough to break ties between channels.
        image = _root(image.double()).to(image.dtype)
    dy, dx = gradient(image)
    magnitude = _root(dx.square() + dy.square())
    if mode == "skimage":
        cells = _hard_votes(magnitude, orientation(dy, dx, orientations), orientations, cell)
        features = _normalize(_blocks(cells, block), norm)
    else:
        votes = _shared_votes(magnitude, _arctan2(dy, dx) * (orientations / math.pi) - 0.5, orientations)
        features = _normalize_opencv(_windowed_blocks(votes, cell, block))
    return features.flatten(1).to(result)


def resize(image: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """(B, C, H, W) -> (B, C, *size), bilinear with antialiasing."""
    return F.interpolate(image, size=tuple(size), mode="bilinear", antialias=True, align_corners=False)


def gradient(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, C, H, W) -> dy, dx (B, H, W): central differences in the channel of largest magnitude.

    The first of equal channels counts. The derivative across a border of the image is zero.
    """
    height, width = image.shape[2:]
    dy = F.pad(image[:, :, 2:] - image[:, :, :-2], (0, 0, 1, 1))[:, :, :height]
    dx = F.pad(image[..., 2:] - image[..., :-2], (1, 1))[..., :width]
    strongest = (dx.square() + dy.square()).argmax(1, keepdim=True)
    return dy.gather(1, strongest).squeeze(1), dx.gather(1, strongest).squeeze(1)


def orientation(dy: torch.Tensor, dx: torch.Tensor, orientations: int) -> torch.Tensor:
    """The bin i whose [i, i + 1) * 180 / orientations degrees hold the unsigned angle.

    i is the number of edges t that the angle has reached: dy cos t >= dx sin t, with (dx, dy) turned into the
    upper half plane. Compared like this, float32 decides for differences of bytes as exact arithmetic would,
    and no backend needs an arc tangent.
    """
    lower = (dy < 0) | ((dy == 0) & (dx < 0))
    dy, dx = torch.where(lower, -dy, dy), torch.where(lower, -dx, dx)
    bins = torch.zeros_like(dy, dtype=torch.int64)
    for i in range(1, orientations):
        cos, sin = _edge(i, orientations)
        bins += dy * cos >= dx * sin if cos else dx <= 0  # an infinite dy times 0 would be NaN
    return bins


def _edge(i: int, orientations: int) -> tuple[float, float]:
    eighth, rest = divmod(4 * i, orientations)
    if rest == 0:
        return ((1, 1), (0, 1), (-1, 1))[eighth - 1]  # pixels do lie on 45, 90, 135 degrees: exact there
    angle = math.pi * i / orientations
    return math.cos(angle), math.sin(angle)


def _hard_votes(magnitude: torch.Tensor, bins: torch.Tensor, orientations: int, cell: list[int]) -> torch.Tensor:
    """(B, H, W) -> (B, N, rows, columns): what a cell's pixels in a bin add to its mean magnitude."""
    zero = magnitude.new_zeros(())
    votes = [F.avg_pool2d(torch.where(bins == i, magnitude, zero)[:, None], cell) for i in range(orientations)]
    return torch.cat(votes, 1)


def _blocks(cells: torch.Tensor, block: list[int]) -> torch.Tensor:
    """(B, N, rows, columns) -> (B, block rows, block columns, *block, N): all overlapping blocks of cells."""
    return cells.unfold(2, block[0], 1).unfold(3, block[1], 1).permute(0, 2, 3, 4, 5, 1)


def _normalize(blocks: torch.Tensor, norm: str, eps: float = 1e-5) -> torch.Tensor:
    within = (3, 4, 5)
    if norm.startswith("L1"):
        scaled = blocks / (blocks.sum(within, keepdim=True) + eps)
        return _root(scaled) if norm == "L1-sqrt" else scaled
    scaled = blocks / (blocks.square().sum(within, keepdim=True) + eps**2).sqrt()
    if norm == "L2":
        return scaled
    clipped = scaled.clamp(max=0.2)
    return clipped / (clipped.square().sum(within, keepdim=True) + eps**2).sqrt()


def _arctan2(dy: torch.Tensor, dx: torch.Tensor) -> torch.Tensor:
    """The unsigned angle in [0, pi] with OpenCV's arc tangent; zero, as is its gradient, at dy = dx = 0."""
    ax, ay = dx.abs(), dy.abs()
    longest = torch.maximum(ax, ay)
    ratio = torch.minimum(ax, ay) / torch.where(longest == 0, 1, longest)
    power = ratio.square()
    angle = ratio * (_ARCTAN[0] + power * (_ARCTAN[1] + power * (_ARCTAN[2] + power * _ARCTAN[3])))
    angle = torch.where(ay > ax, math.pi / 2 - angle, angle)
    return torch.where(dy * dx < 0, math.pi - angle, angle)


def _shared_votes(magnitude: torch.Tensor, position: torch.Tensor, orientations: int) -> torch.Tensor:
    """(B, H, W) -> (B, N, H, W): magnitude shared by the two bins whose centres enclose its position."""
    lower = position.detach().floor()
    share = position - lower
    shares = [
        (lower % orientations == i) * (1 - share) + ((lower + 1) % orientations == i) * share
        for i in range(orientations)
    ]
    return magnitude[:, None] * torch.stack(shares, 1)


def _windowed_blocks(votes: torch.Tensor, cell: list[int], block: list[int]) -> torch.Tensor:
    """(B, N, H, W) -> (B, block columns, block rows, block[1], block[0], N): OpenCV goes down first."""
    size = [block[0] * cell[0], block[1] * cell[1]]
    sigma = sum(size) / 8
    y, x = (_window(cell[i], block[i], sigma).to(votes) for i in range(2))
    rows = torch.einsum("bnyxi,pi->bnpyx", votes.unfold(2, size[0], cell[0]), y)
    return torch.einsum("bnpyxj,qj->bxyqpn", rows.unfold(4, size[1], cell[1]), x)


def _window(cell: int, count: int, sigma: float) -> torch.Tensor:
    """(count, count * cell): weights of a block's pixels for its cells along one axis, hat x Gaussian."""
    pixel = torch.arange(count * cell, dtype=torch.float64)
    hat = (1 - ((pixel + 0.5) / cell - 0.5 - torch.arange(count)[:, None]).abs()).clamp(min=0)
    return hat * torch.exp(-(pixel - count * cell / 2).square() / (2 * sigma**2))


def _normalize_opencv(blocks: torch.Tensor) -> torch.Tensor:
    within = (3, 4, 5)
    count = math.prod(blocks.shape[3:])
    clipped = (blocks / (_root(blocks.square().sum(within, keepdim=True)) + 0.1 * count)).clamp(max=0.2)
    return clipped / (_root(clipped.square().sum(within, keepdim=True)) + 1e-3)


def _root(x: torch.Tensor) -> torch.Tensor:
    """The square root, with gradient zero at zero."""
    zero = x == 0
    return torch.where(zero, 0, torch.where(zero, 1, x).sqrt())
