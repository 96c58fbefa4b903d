# SPDX-License-Identifier: Apache-2.0
"""PaDiM: one Gaussian of pretrained features per position."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dssm.methods.frozen import Frozen
from dssm.methods.method import Method
from dssm.scores import Gaussian, Moments
from dssm.scores.maps import enlarge
from dssm.settings import Settings

_CELL = 8  # pixels between positions
_RIDGE = 1.0  # in mean variances; chosen on held-out good bottles and pills with pasted noise


class PaDiM(Method):
    """Defard, Setkov, Loesch and Audigier, "PaDiM: a patch distribution modeling framework", ICPR 2021.

    Stages 1-3 of a network that was trained on ImageNet are laid over one grid, every coarse value being repeated, and
    100 of their channels are drawn at random. At each position (i, j) of the grid
        mean_ij = sum_k x_k / n,  S_ij = sum_k (x_k - mean_ij)(x_k - mean_ij)^T / (n - 1) + epsilon I   (eq. 1),
    and the map is the Mahalanobis distance (eq. 2). The score is the top of the map. The paper's networks are ResNets
    and EfficientNet-B5, of images cropped to 224x224; here it is EfficientNet-Lite0, of whole images. The paper's
    epsilon, 0.01, has the scale of its networks' features; here it is the mean variance of the features themselves. The
    grid is that of stage 2, an eighth of the image's sides, with stage 1 averaged: a quarter of the paper's memory and
    time, and no worse on good images with pasted noise.
    """

    trains: ClassVar[bool] = False
    defaults: ClassVar[dict[str, Any]] = {"backbone": "efficientnet-lite0", "weights": "imagenet"}
    network: Frozen

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.network = Frozen(settings)
        generator = torch.Generator().manual_seed(settings.seed)
        self.channels = torch.randperm(self.network.width, generator=generator)[: settings.map_channels].sort().values
        self.gaussian: Gaussian | None = None

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        moments = Moments()
        for images in batches:
            moments.update(self._features(images))
        self.gaussian = moments.gaussian(ridge=_RIDGE)

    @torch.no_grad()
    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        assert self.gaussian is not None
        height, width = images.shape[2:]
        maps = enlarge(self.gaussian.distance(self._features(images)), (height, width), self.settings.smooth)
        return maps.flatten(1).amax(1), maps

    def for_scoring(self, dtype: torch.dtype = torch.float32) -> PaDiM:
        scoring = super().for_scoring(dtype)
        assert isinstance(scoring, PaDiM)
        scoring.gaussian = self.gaussian and self.gaussian.for_scoring()
        return scoring

    def fitted(self) -> dict[str, Tensor]:
        assert self.gaussian is not None
        return {"mean": self.gaussian.mean, "whiten": self.gaussian.whiten, "channels": self.channels}

    def fitted_names(self) -> set[str]:
        return {"mean", "whiten", "channels"}

    def restore(self, fitted: dict[str, Tensor]) -> None:
        self.gaussian = Gaussian(fitted["mean"], fitted["whiten"])
        self.channels = fitted["channels"]

    def _features(self, images: Tensor) -> Tensor:
        """(B, K, h, w)."""
        size = (images.shape[2] // _CELL, images.shape[3] // _CELL)
        resized = [
            F.adaptive_avg_pool2d(x, size) if x.shape[2] > size[0] else F.interpolate(x, size=size, mode="nearest")
            for x in self.network(images)
        ]
        together = torch.cat(resized, dim=1)
        return together[:, self.channels.to(together.device)]
