# SPDX-License-Identifier: Apache-2.0
"""The image-level head: an MLP projector g and a linear classifier W (paper, eq. 1-2)."""

from __future__ import annotations

from torch import nn


class Projector(nn.Sequential):
    """g: (B, 512) -> (B, 512), two linear layers with batch norm and ReLU between, as in Wang et al. 2022."""

    def __init__(self, width: int = 512) -> None:
        super().__init__(
            nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(inplace=True), nn.Linear(width, width)
        )


class Classifier(nn.Linear):
    """W: logits (B, 1) for two classes, trained with BCE (eq. 2), or (B, 3) for normal / noise / scar."""

    def __init__(self, ways: int, width: int = 512) -> None:
        super().__init__(width, 1 if ways == 2 else ways)
