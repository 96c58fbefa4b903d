# SPDX-License-Identifier: Apache-2.0
"""The ways to hide part of the features before they must predict their HOG (paper, section III-B and Table 9)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dssm import ops
from dssm.model.attention import ChannelAttention
from dssm.settings import Settings


class MSCM(nn.Module):
    """Masked split convolution (eq. 6-7): a position is predicted from four diagonal neighbours, never from itself."""

    def __init__(self, width: int, *, dilation: int = 2, kernel: int = 1, shared: bool = False) -> None:
        super().__init__()
        self.dilation = dilation
        self.weight = nn.Parameter(torch.empty(1 if shared else 4, width, width, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(width))
        nn.init.normal_(self.weight, std=(4 * width * kernel**2) ** -0.5)

    def forward(self, x: Tensor, attention: ChannelAttention | None = None) -> Tensor:
        """With `attention`, that is applied too: one pass over the map does both."""
        weights = None if attention is None else attention.weights
        return ops.mscm(x, self.weight, self.bias, dilation=self.dilation, attention=weights)


class RectangleMask(nn.Module):
    """Zero one random rectangle of half the area, another one for every sample, while training."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        batch, _, height, width = x.shape
        device = x.device
        # h * w = area / 2 with the height drawn between half and all of the map.
        h = height * (0.5 + 0.5 * torch.rand(batch, 1, device=device))
        w = 0.5 * height * width / h
        top = torch.rand(batch, 1, device=device) * (height - h)
        left = torch.rand(batch, 1, device=device) * (width - w)
        y = torch.arange(height, device=device) + 0.5
        x_ = torch.arange(width, device=device) + 0.5
        rows = (y >= top) & (y < top + h)  # (B, H)
        columns = (x_ >= left) & (x_ < left + w)  # (B, W)
        hidden = rows[:, None, :, None] & columns[:, None, None, :]
        return x.masked_fill(hidden, 0)


def build(settings: Settings, width: int) -> nn.Module:
    """The masking that the settings name."""
    if settings.mask == "mscm":
        return MSCM(width, dilation=settings.mscm_dilation, kernel=settings.mscm_kernel, shared=settings.mscm_shared)
    return {"rectangle": RectangleMask(), "dropout": nn.Dropout(0.5), "none": nn.Identity()}[settings.mask]
