# SPDX-License-Identifier: Apache-2.0
"""Image scores and anomaly maps of a trained network."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from dssm.errors import InputError
from dssm.model import Network
from dssm.model.backbone import pool
from dssm.scores.gaussian import Gaussian, Moments
from dssm.settings import Settings


class Scorer:
    """Fits the Gaussians that the settings ask for and turns images into scores and maps; larger is more anomalous."""

    def __init__(self, settings: Settings, widths: tuple[int, ...]) -> None:
        self.settings = settings
        self.image: Gaussian | None = None  # of pooled or projected features
        self.position: Gaussian | None = None  # of stage features, one per position
        self.channels = _draw_channels(settings, widths)
        # Mean and deviation of each map over good images, which puts maps of different units on one scale.
        self.scales: dict[str, Tensor] = {}

    @property
    def maps(self) -> tuple[str, ...]:
        """The maps that enter the anomaly map."""
        return ("mahalanobis", "segmentation") if self.settings.map == "fused" else (self.settings.map,)

    @torch.no_grad()
    def fit(self, network: Network, batches: Iterable[Tensor]) -> None:
        """One pass over batches of good images (B, 3, H, W)."""
        image, position = Moments(), Moments()
        for images in batches:
            stages = network.stages(images)
            if self.settings.image_score != "map":
                image.update(self._image_features(network, stages))
            if "mahalanobis" in self.maps:
                position.update(self._position_features(stages))
        self.image = image.gaussian() if image.count else None
        self.position = position.gaussian() if position.count else None

    @torch.no_grad()
    def calibrate(self, network: Network, batches: Iterable[Tensor]) -> None:
        """Measure the scale of every map on good images that `fit` has not seen."""
        values: dict[str, Moments] = {name: Moments() for name in self.maps}
        for images in batches:
            for name, coarse in self._coarse_maps(network, network.stages(images)).items():
                values[name].update(coarse.reshape(-1, 1))
        for name, moments in values.items():
            assert moments.mean is not None
            assert moments.scatter is not None
            deviation = (moments.scatter[0, 0] / moments.count).sqrt().clamp_min(1e-6)
            self.scales[name] = torch.stack([moments.mean[0], deviation]).float()

    @torch.no_grad()
    def score(self, network: Network, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B,) and maps (B, H, W) of a batch (B, 3, H, W), float32. Maps are in deviations from good ones."""
        stages = network.stages(images)
        height, width = images.shape[2:]
        standard = [
            F.interpolate((coarse - scale[0])[:, None] / scale[1], size=(height, width), mode="bilinear")[:, 0]
            for name, coarse in self._coarse_maps(network, stages).items()
            for scale in [self.scales[name]]
        ]
        maps = gaussian_blur(torch.stack(standard).sum(0), self.settings.smooth * height / 256)
        if self.image is None:
            return maps.flatten(1).amax(1), maps
        return self.image.distance(self._image_features(network, stages)), maps

    def state(self) -> dict[str, Tensor]:
        """Everything that was fitted, as named tensors."""
        gaussians = {"image": self.image, "position": self.position}
        state = {
            f"{name}.{part}": getattr(g, part) for name, g in gaussians.items() if g for part in ("mean", "whiten")
        }
        return state | {f"scale.{name}": scale for name, scale in self.scales.items()} | {"channels": self.channels}

    def expected(self) -> set[str]:
        """The names of the tensors in `state` under these settings."""
        needed = {"image": self.settings.image_score != "map", "position": "mahalanobis" in self.maps}
        gaussians = {f"{name}.{part}" for name, wanted in needed.items() if wanted for part in ("mean", "whiten")}
        return gaussians | {f"scale.{name}" for name in self.maps} | {"channels"}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`; the names are those of `expected`."""
        for name in ("image", "position"):
            if f"{name}.mean" in state:
                setattr(self, name, Gaussian(state[f"{name}.mean"], state[f"{name}.whiten"]))
        self.channels = state["channels"]
        self.scales = {name: state[f"scale.{name}"] for name in self.maps}

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

    def _coarse_maps(self, network: Network, stages: list[Tensor]) -> dict[str, Tensor]:
        """The maps by name, (B, h, w) float32, each on its own grid."""
        maps = {}
        if "segmentation" in self.maps:
            assert network.segmenter is not None
            maps["segmentation"] = network.segmenter(stages).float()
        if "mahalanobis" in self.maps:
            assert self.position is not None
            features = self._position_features(stages)
            if features.shape[2:] != self.position.mean.shape[:2]:
                fitted, given = (
                    [8 * side for side in shape] for shape in (self.position.mean.shape, features.shape[2:])
                )
                raise InputError(f"this model was fitted on {fitted[:2]} images, not {given}")
            maps["mahalanobis"] = self.position.distance(features)
        return maps


def _draw_channels(settings: Settings, widths: tuple[int, ...]) -> Tensor:
    """Which of the concatenated channels enter the Mahalanobis map, ascending; drawn once from the seed (as PaDiM)."""
    total = sum(widths[stage - 1] for stage in settings.map_stages)
    generator = torch.Generator().manual_seed(settings.seed)
    return torch.randperm(total, generator=generator)[: settings.map_channels].sort().values


def gaussian_blur(maps: Tensor, sigma: float) -> Tensor:
    """Blur (B, H, W) with a Gaussian of `sigma` pixels, cut at 4 sigma, borders reflected. In the maps' own dtype."""
    radius = int(4 * sigma + 0.5)
    if radius == 0:
        return maps
    offsets = torch.arange(-radius, radius + 1, dtype=maps.dtype, device=maps.device)
    weights = torch.exp(-0.5 * (offsets / sigma) ** 2)
    weights = weights / weights.sum()
    x = maps[:, None]
    with torch.autocast(maps.device.type, enabled=False):  # a map in bfloat16 would have 256 levels
        for dim in (2, 3):
            x = _reflect(x, dim, radius)
            x = F.conv2d(x, weights.view(1, 1, -1, 1) if dim == 2 else weights.view(1, 1, 1, -1))
    return x[:, 0]


def _reflect(x: Tensor, dim: int, radius: int) -> Tensor:
    """Pad one dimension by mirroring at the outer edge of the border pixels, however small the image."""
    size = x.shape[dim]
    index = torch.arange(-radius, size + radius, device=x.device) % (2 * size)
    return x.index_select(dim, torch.where(index < size, index, 2 * size - 1 - index))
