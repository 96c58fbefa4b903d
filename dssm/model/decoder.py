# SPDX-License-Identifier: Apache-2.0
"""The HOG decoder (paper, Table 2)."""

from __future__ import annotations

from torch import nn


class Decoder(nn.Sequential):
    """(B, 512, h, w) -> (B, outputs): a feature map regressed to one vector, e.g. the 3780 values of a HOG window.

    Table 2's sizes need 64x64 before the first pooling: PixelShuffle(8) makes 8x64x64 of 512x8x8. The poolings are
    adaptive, which is Table 2 exactly for 256x256 images and lets every other size reach the same 4096 values.
    """

    def __init__(self, outputs: int, width: int = 512) -> None:
        super().__init__(
            nn.PixelShuffle(8),
            nn.Conv2d(width // 64, 64, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveMaxPool2d(32),
            nn.Conv2d(64, 16, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveMaxPool2d(16),
            nn.Flatten(),
            nn.Linear(16 * 16 * 16, outputs),
        )
