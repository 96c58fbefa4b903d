# SPDX-License-Identifier: Apache-2.0
"""The masked convolution with squeeze and excitation as eager PyTorch writes it, from equations 6 to 8 of the paper."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """x * sigmoid(W2 relu(W1 z)), z the spatial mean of x (Hu, Shen and Sun, CVPR 2018)."""

    def __init__(self, width: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Linear(width, width // reduction)
        self.excite = nn.Linear(width // reduction, width)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))
        return x * scale[:, :, None, None]


class FourConvolutions(nn.Module):
    """Pad, cut four corners, a 1x1 convolution each, their sum, sigmoid, squeeze and excitation: after SSPCAB
    (Ristea et al., CVPR 2022)."""

    def __init__(self, width: int, dilation: int = 2) -> None:
        super().__init__()
        self.dilation = dilation
        self.convolutions = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(4))
        self.attention = SqueezeExcite(width)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        far = 2 * self.dilation
        padded = F.pad(x, (self.dilation,) * 4)
        corners = [(top, left) for top in (0, far) for left in (0, far)]
        parts = [
            convolution(padded[:, :, top : top + height, left : left + width])
            for convolution, (top, left) in zip(self.convolutions, corners, strict=True)
        ]
        return self.attention(torch.sigmoid(parts[0] + parts[1] + parts[2] + parts[3]))

    def weights(self) -> tuple[Tensor, Tensor]:
        """The same as weight (4, C, C, 1, 1) and bias (C,) of dssm.ops.mscm."""
        layers = [layer for layer in self.convolutions if isinstance(layer, nn.Conv2d)]
        biases = [layer.bias for layer in layers if layer.bias is not None]
        return torch.stack([layer.weight for layer in layers]).detach(), torch.stack(biases).sum(0).detach()


class DilatedConvolution(nn.Module):
    """The same with the four 1x1 convolutions as one of 2x2, dilation 2d."""

    def __init__(self, four: FourConvolutions) -> None:
        super().__init__()
        weight, bias = four.weights()
        width, d = len(bias), four.dilation
        self.convolution = nn.Conv2d(width, width, 2, padding=d, dilation=2 * d)
        self.convolution.weight.data = weight[..., 0, 0].permute(1, 2, 0).unflatten(2, (2, 2)).contiguous()
        self.convolution.bias = nn.Parameter(bias)
        self.attention = four.attention

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(torch.sigmoid(self.convolution(x)))
