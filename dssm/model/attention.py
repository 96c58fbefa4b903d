# SPDX-License-Identifier: Apache-2.0
"""Channel attention by squeeze and excitation (paper, eq. 8)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """x * sigmoid(W2 relu(W1 z)), z the spatial mean of x; (B, C, H, W) -> the same shape. Reduction r = 16."""

    def __init__(self, width: int, reduction: int = 16) -> None:
        super().__init__()
        self.squeeze = nn.Linear(width, width // reduction)
        self.excite = nn.Linear(width // reduction, width)

    @property
    def weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """W1, its bias, W2 and its bias, for the masked convolution that applies them itself."""
        return self.squeeze.weight, self.squeeze.bias, self.excite.weight, self.excite.bias

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))
        return x * scale[:, :, None, None]
