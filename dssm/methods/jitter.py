# SPDX-License-Identifier: Apache-2.0
"""Colour jitter: slightly other light and paint for every image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dssm.reference.philox import METHOD, philox, uniform

_GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow


def jitter(images: Tensor, index: Tensor, *, seed: int, draw: int, strength: float = 0.1) -> Tensor:
    """Images (B, 3, H, W) uint8 with other brightness, contrast, saturation and hue; the same shape and dtype.

    y = b (c R(h) (s x + (1 - s) g(x)) + (1 - c) mean(g)), g the grey value, R(h) a rotation of colours about the grey
    axis, b, c, s ~ U[1 - strength, 1 + strength], h ~ U[-strength, strength] turns.
    What happens to image i depends on (seed, index[i], draw) alone.
    """
    x = images.float()
    words = torch.stack(philox(seed, index, METHOD, draw), dim=1)
    brightness, contrast, saturation, turns = (1 + strength * (2 * uniform(words) - 1)).unbind(1)
    grey = torch.tensor(_GREY, device=x.device).expand(3, 3)
    mean = (x.mean((2, 3)) @ grey[0])[:, None]
    saturated = saturation[:, None, None] * torch.eye(3, device=x.device) + (1 - saturation)[:, None, None] * grey
    colours = (brightness * contrast)[:, None, None] * _rotation(2 * math.pi * (turns - 1)) @ saturated  # (B, 3, 3)
    offset = (brightness * (1 - contrast))[:, None] * mean  # (B, 1)
    y = torch.einsum("bij,bjhw->bihw", colours, x) + offset[:, :, None, None]
    return y.round_().clamp_(0, 255).to(torch.uint8)


def _rotation(angle: Tensor) -> Tensor:
    """(B,) radians -> (B, 3, 3), Rodrigues' rotations about (1, 1, 1): grey stays grey."""
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=angle.device) / math.sqrt(3)
    return cos * torch.eye(3, device=angle.device) + sin * cross + (1 - cos) / 3
