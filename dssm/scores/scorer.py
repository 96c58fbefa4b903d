# SPDX-License-Identifier: Apache-2.0
"""Image scores and anomaly maps of a trained network."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from dssm.errors import InputError
from dssm.model import Network
from dssm.model.backbone import WIDTHS, pool
from dssm.scores.gaussian import Gaussian, Moments
from dssm.settings import Settings


class Scorer:
    """Fits the Gaussians that the settings ask for and turns images into scores and maps; larger is more anomalous."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.image: Gaussian | None = None
        self.position: Gaussian | None = None
        self.channels = _draw_channels(settings)

    @torch.no_grad()
    def fit(self, network: Network, batches: Iterable[Tensor]) -> None:
        """One pass over batches of good images (B, 3, H, W)."""
        image, position = Moments(), Moments()
        for images in batches:
            stages = network.stages(images)
            if self.settings.image_score != "map":
                image.update(self._image_features(network, stages))
            if self.settings.map == "mahalanobis":
                position.update(self._position_features(stages))
        self.image = image.gaussian() if image.count else None
        self.position = position.gaussian() if position.count else None

    @torch.no_grad()
    def score(self, network: Network, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B,) and maps (B, H, W) of a batch (B, 3, H, W), float32."""
        stages = network.stages(images)
        maps = self._map(network, stages)
        if self.image is None:
            return maps.flatten(1).amax(1), maps
        return self.image.distance(self._image_features(network, stages)), maps

    def state(self) -> dict[str, Tensor]:
        """The Gaussians as named tensors."""
        gaussians = {"image": self.image, "position": self.position}
        return {f"{name}.{part}": getattr(g, part) for name, g in gaussians.items() if g for part in ("mean", "whiten")}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`; raises InputError when a Gaussian that the settings need is missing."""
        needed = {"image": self.settings.image_score != "map", "position": self.settings.map == "mahalanobis"}
        for name, wanted in needed.items():
            if not wanted:
                continue
            try:
                setattr(self, name, Gaussian(state[f"{name}.mean"], state[f"{name}.whiten"]))
            except KeyError as error:
                raise InputError(f"the bundle has no tensor scorer.{error.args[0]}") from error

    def to(self, device: torch.device) -> None:
        """Move the Gaussians."""
        for gaussian in (self.image, self.position):
            if gaussian is not None:
                gaussian.mean, gaussian.whiten = gaussian.mean.to(device), gaussian.whiten.to(device)

    def _image_features(self, network: Network, stages: list[Tensor]) -> Tensor:
        if self.settings.image_score == "projector":
            assert network.projector is not None
            return network.projector(pool(stages)).float()
        return pool(stages, self.settings.pooled_stages)

    def _position_features(self, stages: list[Tensor]) -> Tensor:
        """(B, K, h, w): drawn channels of several stages, brought to the grid of 1/8 of the image's sides."""
        size = (stages[1].shape[2], stages[1].shape[3])
        chosen = [stages[stage - 1].float() for stage in self.settings.map_stages]
        resized = [
            F.adaptive_avg_pool2d(x, size)
            if x.shape[2] > size[0]
            else F.interpolate(x, size=size, mode="bilinear", align_corners=False)
            for x in chosen
        ]
        return torch.cat(resized, dim=1)[:, self.channels.to(resized[0].device)]

    def _map(self, network: Network, stages: list[Tensor]) -> Tensor:
        height, width = (4 * side for side in stages[0].shape[2:])
        if self.settings.map == "segmentation":
            assert network.segmenter is not None
            coarse = network.segmenter(stages).float()
        else:
            assert self.position is not None
            features = self._position_features(stages)
            if features.shape[2:] != self.position.mean.shape[:2]:
                fitted = [8 * side for side in self.position.mean.shape[:2]]
                raise InputError(f"this model was fitted on {fitted} images, not {[height, width]}")
            coarse = self.position.distance(features)
        maps = F.interpolate(coarse[:, None], size=(height, width), mode="bilinear", align_corners=False)[:, 0]
        return gaussian_blur(maps, self.settings.smooth * height / 256)


def _draw_channels(settings: Settings) -> Tensor:
    """Which of the concatenated channels enter the Mahalanobis map, ascending; drawn once from the seed (as PaDiM)."""
    total = sum(WIDTHS[stage - 1] for stage in settings.map_stages)
    generator = torch.Generator().manual_seed(settings.seed)
    return torch.randperm(total, generator=generator)[: settings.map_channels].sort().values


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Blur (B, H, W) with a Gaussian of `sigma` pixels, cut at 4 sigma, borders reflected."""
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return maps
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum()
    x = maps[:, None]
    for dim in (2, 3):
        x = _reflect(x, dim, radius)
        x = F.conv2d(x, weights.view(1, 1, -1, 1) if dim == 2 else weights.view(1, 1, 1, -1))
    return x[:, 0]


def _reflect(x: Tensor, dim: int, radius: int) -> Tensor:
    """Pad one dimension by mirroring at the outer edge of the border pixels, however small the image."""
    size = x.shape[dim]
    index = torch.arange(-radius, size + radius, device=x.device) % (2 * size)
    return x.index_select(dim, torch.where(index < size, index, 2 * size - 1 - index))
