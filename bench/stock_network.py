# SPDX-License-Identifier: Apache-2.0
"""The network of the paper in layers of PyTorch alone: eager, float32, NCHW, four 1x1 convolutions in its MSCM."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dssm.model import Output
from dssm.settings import Settings

from .masked_peers import FourConvolutions

WIDTHS = (64, 128, 256, 512)
TARGET_VALUES = 3780  # HOG of a 64x128 window


def normalized(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias and batch normalisation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class BasicBlock(nn.Module):
    """He et al., CVPR 2016."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = normalized(inputs, outputs, 3, stride)
        self.second = normalized(outputs, outputs, 3)
        self.shortcut = nn.Identity() if stride == 1 else normalized(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.second(F.relu(self.first(x), inplace=True)) + self.shortcut(x), inplace=True)


class Pyramid(nn.Module):
    """The patch head: the four stages -> logits (B, H/4, W/4), coarse ones upsampled and added to fine ones."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in WIDTHS)
        self.logit = nn.Sequential(normalized(width, width, 3), nn.ReLU(inplace=True), nn.Conv2d(width, 1, 1))

    def forward(self, stages: list[Tensor]) -> Tensor:
        *finer, x = [lateral(stage) for lateral, stage in zip(self.laterals, stages, strict=True)]
        for lateral in reversed(finer):
            x = lateral + F.interpolate(x, size=lateral.shape[2:], mode="bilinear", align_corners=False)
        return self.logit(x).squeeze(1)


class StockNetwork(nn.Module):
    """ResNet-18 and the heads that the settings ask for; (B, 3, H, W) float32, normalised."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        width = WIDTHS[-1]
        self.stem = nn.Sequential(normalized(3, 64, 7, 2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1))
        self.stages = nn.ModuleList(
            nn.Sequential(BasicBlock(inputs, outputs, 1 if inputs == outputs else 2), BasicBlock(outputs, outputs, 1))
            for inputs, outputs in zip((64, *WIDTHS), WIDTHS, strict=False)
        )
        self.projector = nn.Sequential(
            nn.Linear(width, width, bias=False), nn.BatchNorm1d(width), nn.ReLU(inplace=True), nn.Linear(width, width)
        )
        self.classifier = nn.Linear(width, 1 if settings.ways == 2 else settings.ways)
        self.regressor = nn.Sequential(
            FourConvolutions(width, settings.mscm_dilation),
            nn.PixelShuffle(8),
            nn.Conv2d(width // 64, 64, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveMaxPool2d(32),
            nn.Conv2d(64, 16, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveMaxPool2d(16),
            nn.Flatten(),
            nn.Linear(16 * 16 * 16, TARGET_VALUES),
        )
        self.segmenter = Pyramid() if settings.segment else None

    def forward(self, images: Tensor) -> Output:
        x, stages = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            stages.append(x)
        projected = self.projector(x.mean((2, 3)))
        segmented = self.segmenter(stages) if self.segmenter is not None else None
        return Output(stages, projected, self.classifier(projected), self.regressor(x), segmented)
