# SPDX-License-Identifier: Apache-2.0
"""The two networks of DRAEM: an autoencoder that paints defects over, and a U-Net that compares."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dssm.model.backbone import Convolution, Normalization
from dssm.model.sspcab import SSPCAB

RECONSTRUCT, DISCRIMINATE = 128, 64  # channels of the first level, in the paper


class DraemNetwork(nn.Module):
    """(B, 3, H, W) uint8 -> the image without defects (B, 3, H, W) in about [0, 1] and logits of defects (B, H, W)."""

    def __init__(self, width: float = 1.0, sspcab: bool = False) -> None:
        super().__init__()
        wide, narrow = (max(round(width * channels), 1) for channels in (RECONSTRUCT, DISCRIMINATE))
        self.reconstruct = Autoencoder(wide, sspcab)
        self.discriminate = UNet(narrow)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = (images.float() / 255).contiguous(memory_format=torch.channels_last)
        restored = self.reconstruct(x)
        return restored, self.discriminate(torch.cat([restored, x], dim=1))[:, 0]


class Autoencoder(nn.Module):
    """3 channels -> 3 channels through 1/16 of the sides, with no way around; H and W multiples of 16."""

    def __init__(self, width: int, sspcab: bool = False) -> None:
        super().__init__()
        one, two, four, eight = (width * factor for factor in (1, 2, 4, 8))
        bottom = SSPCAB(eight) if sspcab else layers(eight, eight, eight)
        self.down = nn.ModuleList(
            [layers(3, one, one), layers(one, two, two), layers(two, four, four), layers(four, eight, eight), bottom]
        )
        self.up = nn.ModuleList(
            [
                layers(eight, eight, eight, four),
                layers(four, four, four, two),
                layers(two, two, two, one),
                layers(one, one, one, one),
            ]
        )
        self.out = nn.Conv2d(one, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = descend(self.down, x)[-1]
        for level in self.up:
            x = level(doubled(x))
        return self.out(x)


class UNet(nn.Module):
    """6 channels -> 1 through 1/32 of the sides, every level handed across (Ronneberger et al. 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        one, two, four, eight = (width * factor for factor in (1, 2, 4, 8))
        widths = [one, two, four, eight, eight, eight]
        self.down = nn.ModuleList(layers(i, o, o) for i, o in zip([6, *widths], widths, strict=False))
        rising = [(eight, eight), (eight, four), (four, two), (two, one), (one, one)]
        self.up = nn.ModuleList(layers(i, o) for i, o in rising)
        self.merge = nn.ModuleList(
            layers(o + across, o, o) for (_, o), across in zip(rising, widths[-2::-1], strict=True)
        )
        self.out = nn.Conv2d(one, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        *levels, x = descend(self.down, x)
        for up, merge, across in zip(self.up, self.merge, reversed(levels), strict=True):
            x = merge(torch.cat([up(doubled(x)), across], dim=1))
        return self.out(x)


class Layer(nn.Module):
    """A 3x3 convolution, batch normalisation and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convolution = Convolution(inputs, outputs)
        self.normalization = Normalization(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.normalization(self.convolution(x))


def layers(*widths: int) -> nn.Sequential:
    """Layers from one number of channels to the next."""
    return nn.Sequential(*(Layer(i, o) for i, o in pairwise(widths)))


def descend(down: nn.ModuleList, x: Tensor) -> list[Tensor]:
    """The results of all levels, each computed at half the size of the one before."""
    levels: list[Tensor] = []
    for level in down:
        x = level(F.max_pool2d(x, 2) if levels else x)
        levels.append(x)
    return levels


def doubled(x: Tensor) -> Tensor:
    """Twice the size, bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
