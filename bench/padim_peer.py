# SPDX-License-Identifier: Apache-2.0
"""PaDiM as anomalib publishes it: an eager network, unfolded and NCHW, and the inverse covariances."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dssm.model.backbone import Backbone, ResNet18
from dssm.scores.maps import gaussian_blur
from dssm.settings import Settings

from .distance_peers import inverse
from .stock_network import StockNetwork

CHANNELS, SIGMA, RIDGE = 100, 4.0, 0.01


class EagerPaDiM:
    """Stages 1-3 laid over the grid of stage 1, and a Gaussian at each of its positions."""

    def __init__(self, backbone: Backbone) -> None:
        self.network = eager(backbone)
        self.mean, self.std = backbone.pixel_mean, backbone.pixel_std
        self.channels = torch.randperm(sum(backbone.widths[:3]), generator=torch.Generator().manual_seed(0))[:CHANNELS]
        radius = int(4 * SIGMA + 0.5)
        line = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / SIGMA) ** 2)
        self.kernel = (line[:, None] * line / line.sum() ** 2)[None, None]

    @torch.no_grad()
    def fit(self, images: Tensor) -> EagerPaDiM:
        x = self._embedding(images).flatten(2).permute(2, 0, 1)  # (HW, B, C)
        centred = x - x.mean(1, keepdim=True)
        covariance = centred.mT @ centred / (len(images) - 1) + RIDGE * torch.eye(CHANNELS)
        self.location, self.inverse = x.mean(1), torch.linalg.inv(covariance)
        return self

    @torch.no_grad()
    def score(self, images: Tensor, *, separable: bool = False) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) uint8 -> scores (B,), maps (B, H, W).

        `separable` blurs by two passes of a one-dimensional kernel where anomalib takes one of 33x33.
        """
        distance = inverse(self._embedding(images), self.location, self.inverse)
        maps = F.interpolate(distance[:, None], size=images.shape[2:], mode="bilinear", align_corners=False)
        if separable:
            maps = gaussian_blur(maps[:, 0], SIGMA)[:, None]
        else:
            maps = F.conv2d(F.pad(maps, (self.kernel.shape[-1] // 2,) * 4, mode="reflect"), self.kernel)
        return maps.flatten(1).amax(1), maps[:, 0]

    def _embedding(self, images: Tensor) -> Tensor:
        stages = self.network((images.float() - self.mean) / self.std)
        size = stages[0].shape[2:]
        resized = [F.interpolate(x, size=size, mode="nearest") for x in stages[1:]]
        return torch.index_select(torch.cat([stages[0], *resized], dim=1), 1, self.channels)


def eager(backbone: Backbone) -> Callable[[Tensor], list[Tensor]]:
    """The first three stages in PyTorch's own layers, with the backbone's weights."""
    if isinstance(backbone, ResNet18):
        stock = StockNetwork(Settings()).eval()
        values = iter(backbone.state_dict().values())  # in the same order
        names = [name for name in stock.state_dict() if name.startswith(("stem.", "stages.0", "stages.1", "stages.2"))]
        own = {name: next(values) for name in names}
        stock.load_state_dict(own, strict=False)
        return lambda x: _walk(stock.stages[:3], stock.stem(x))
    copy = deepcopy(backbone).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    for module in list(copy.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                module.add_module(name, _Unfolded(child))
    return copy


class _Unfolded(nn.Module):
    """Batch normalisation that no network takes for one that it may fold."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor, shortcut: Tensor | None, relu6: bool, _: float) -> Tensor:
        x = self.norm(x)
        x = x if shortcut is None else x.add_(shortcut)
        return F.relu6(x, inplace=True) if relu6 else x


def _walk(stages: nn.ModuleList, x: Tensor) -> list[Tensor]:
    found = []
    for stage in stages:
        x = stage(x)
        found.append(x)
    return found
