# SPDX-License-Identifier: Apache-2.0
"""The paste of equation 3: a source shows through an image inside a mask."""

from __future__ import annotations

import torch


def blend(image: torch.Tensor, source: torch.Tensor, mask: torch.Tensor, alpha: torch.Tensor) -> torch.Tensor:
    """I_s = (1 - M) I + a M I + (1 - a) M I_e (paper, equation 3): alpha weighs the original.

    image, source (B, C, H, W); mask (B, H, W) bool; alpha (B,). Pixels outside the mask are copied.
    uint8 is mixed in fixed point, alike on every backend: (A I + (65536 - A) I_e + 32768) >> 16 with
    A = round(65536 a). Floats are mixed in float32, float64 in float64.
    """
    alpha = alpha.view(-1, 1, 1, 1)
    if image.dtype == torch.uint8:
        weight = (alpha * 65536).round().int()
        mixed = (weight * image + (65536 - weight) * source + 32768) >> 16
    else:
        exact = torch.promote_types(image.dtype, torch.float32)
        weight = alpha.to(exact)
        mixed = weight * image.to(exact) + (1 - weight) * source.to(exact)
    return torch.where(mask.unsqueeze(1), mixed.to(image.dtype), image).contiguous()
