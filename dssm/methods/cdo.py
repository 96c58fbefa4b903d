# SPDX-License-Identifier: Apache-2.0
"""CDO: a student that agrees with its teacher about good pixels and disagrees about spoilt ones."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dssm.methods.method import Method
from dssm.model import backbones
from dssm.reference.philox import METHOD, integer, philox
from dssm.scores.maps import gaussian_blur
from dssm.settings import Settings
from dssm.training.precision import autocast

_GAMMA = 2  # how strongly the weights tell hard pixels from easy ones
_RECTANGLES = 4  # of noise in an image, at most
_NUMBER, _NOISE = _RECTANGLES, _RECTANGLES + 1  # draws; those before are the rectangles'


class CDO(Method):
    """Cao, Xu, Liu and Shen, "Collaborative discrepancy optimization for reliable image anomaly localization", IEEE
    Trans. Industrial Informatics 2023.

    A frozen teacher and a student of the same shape see images with up to four rectangles of noise. With d the
    discrepancy of their features at a position (`Pair`), the student minimises over good and noisy positions
    L = (sum_good w d - sum_noisy w d) / sum w, w = (d / mean d)^2 if good, (mean d / d)^2 if noisy.
    The map is the sum of d over the stages, blurred; the image score is its maximum.

    The source's backbone is an HRNet with ImageNet weights; by default here an EfficientNet-Lite0 with such weights. A
    random teacher (`weights` null) works far worse. The source keeps noise off the background of objects by a table of
    categories, which new data lack.
    """

    network: Pair
    defaults: ClassVar[dict[str, Any]] = {
        "backbone": "efficientnet-lite0",
        "weights": "imagenet",
        "batch": 16,
        "epochs": 50,
        "optimizer": "adamw",
        "rate": 4e-4,
        "decay": 1e-4,
    }

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.network = Pair(settings)

    @property
    def views(self) -> int:
        return 1

    def losses(self, images: Tensor, textures: Tensor, index: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        noisy, mask = spoil(images, index, seed=self.settings.seed)
        with autocast(images.device, self.settings.precision):
            maps = self.network(noisy)
        mask = F.interpolate(mask[:, None].float(), size=maps.shape[2:])[:, 0].bool()
        return {"discrepancy": torch.stack([collaborative(d, mask) for d in maps.unbind(1)]).sum()}

    def samples(self, images: Tensor, textures: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG002
        return images, *spoil(images, index, seed=self.settings.seed)

    @torch.no_grad()
    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        size = (images.shape[2], images.shape[3])
        coarse = self.network(images).sum(1, keepdim=True)
        maps = F.interpolate(coarse, size=size, mode="bilinear", align_corners=False)[:, 0]
        maps = gaussian_blur(maps, self.settings.smooth * size[0] / 256)
        return maps.flatten(1).amax(1), maps


class Pair(nn.Module):
    """Teacher (`backbone`, which takes the weights that the settings name) and student, of random weights of its own.

    Images (B, 3, H, W) uint8 -> d = || t / |t| - s / |s| ||^2 for K chosen stages, (B, K, h, w) float32 in [0, 4];
    features are first brought to the grid of the first of these stages.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.stages = sorted(settings.map_stages)
        self.backbone = backbones.build(settings, self.stages[-1])
        self.student = backbones.build(settings, self.stages[-1])
        self.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> Pair:
        super().train(mode)
        self.backbone.eval()  # its averages are frozen as well
        return self

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            taught = self.backbone.stages(images)
        learnt = self.student.stages(images)
        size = taught[self.stages[0] - 1].shape[2:]
        pairs = [(_directions(taught[k - 1], size), _directions(learnt[k - 1], size)) for k in self.stages]
        return torch.stack([(t - s).square().sum(1) for t, s in pairs], dim=1)


def _directions(features: Tensor, size: torch.Size) -> Tensor:
    x = F.interpolate(features.float(), size=size, mode="bilinear", align_corners=False)
    return F.normalize(x, dim=1)


def collaborative(d: Tensor, noisy: Tensor) -> Tensor:
    """The loss above for discrepancies d (B, h, w) and noisy positions (B, h, w) bool; a scalar.

    Weights are constants to the gradient: large ones go to good positions that still differ (those that overlap with
    noisy ones) and to noisy positions that do not differ yet.
    """
    with torch.no_grad():
        eps = torch.finfo(d.dtype).eps
        mean_good = (d * ~noisy).sum() / (~noisy).sum().clamp_min(1)
        mean_noisy = (d * noisy).sum() / noisy.sum().clamp_min(1)
        ratio = torch.where(noisy, mean_noisy / d.clamp_min(eps), d / mean_good.clamp_min(eps))
        weight = ratio**_GAMMA
    return (torch.where(noisy, -weight, weight) * d).sum() / weight.sum()


def spoil(images: Tensor, index: Tensor, *, seed: int) -> tuple[Tensor, Tensor]:
    """Images (B, 3, H, W) uint8 with 0 to 4 rectangles of noise, and those (B, H, W) bool; of each side the rectangle
    takes 5 to 20 %. What happens to image i depends on (seed, index[i]) alone.
    """
    height, width = images.shape[2:]
    draws = torch.arange(_RECTANGLES, device=index.device)
    tall, wide, at_y, at_x = philox(seed, index[:, None], METHOD, draws)  # (B, 4) each
    y, x = _span(tall, at_y, height), _span(wide, at_x, width)
    number = integer(philox(seed, index, METHOD, _NUMBER)[0], 0, _RECTANGLES + 1)
    wanted = draws < number[:, None]
    mask = (y[..., None] & x[..., None, :] & wanted[..., None, None]).any(1)
    return torch.where(mask[:, None], _bytes(images.shape, index, seed), images), mask


def _span(extent: Tensor, place: Tensor, length: int) -> Tensor:
    """(B, n) words -> (B, n, length) bool: 2 h neighbours, h from 1/40 to 1/10 of the length, all inside."""
    least = max(length // 40, 1)
    half = integer(extent, least, max(length // 10, least + 1))
    centre = integer(place, half, length - half + 1)
    position = torch.arange(length, device=extent.device)
    return ((centre - half)[..., None] <= position) & (position < (centre + half)[..., None])


def _bytes(shape: torch.Size, index: Tensor, seed: int) -> Tensor:
    """Uniform uint8 of a shape (B, C, H, W), 16 from each draw."""
    count = shape[1:].numel()
    draws = torch.arange(_NOISE, _NOISE + (count + 15) // 16, device=index.device)
    words = torch.stack(philox(seed, index[:, None], METHOD, draws), dim=-1).flatten(1)  # (B, 4 draws)
    shifts = torch.arange(0, 32, 8, device=index.device)
    return (words[..., None] >> shifts & 255).flatten(1)[:, :count].to(torch.uint8).view(shape)
