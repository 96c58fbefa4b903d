# SPDX-License-Identifier: Apache-2.0
"""PatchCore: the nearest of a few good patches' pretrained features."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dssm.methods.frozen import Frozen
from dssm.methods.method import Method
from dssm.scores.bank import Reservoir, coreset, nearest
from dssm.scores.maps import enlarge
from dssm.settings import Settings

_SHARE = 0.01  # of all patches, that the memory bank keeps
_CANDIDATES = 2**19  # patches at most that it is chosen from: all of 512 images of 256x256
_NEIGHBORS = 9  # b of eq. 7


class PatchCore(Method):
    """Roth et al., "Towards total recall in industrial anomaly detection", CVPR 2022 (PatchCore-1%).

    Stages 2 and 3 of a network that was trained on ImageNet are averaged over 3x3 neighbours (eq. 1-2) and laid over
    the finer one's grid, bilinearly. The memory bank M is a coreset of all good patches (algorithm 1). The map is each
    patch's distance to its nearest m* in M; the score is the largest of them, s* = ||x* - m*|| (eq. 6), times
        1 - exp ||x* - m*|| / sum over the b nearest m of m* in M of exp ||x* - m||   (eq. 7),
    which raises it where even m* is far from other good patches. The paper's network is a Wide ResNet-50, its channels
    pooled to 1024; here it is EfficientNet-Lite0, whose 152 channels are taken as they are.
    """

    trains: ClassVar[bool] = False
    defaults: ClassVar[dict[str, Any]] = {
        "backbone": "efficientnet-lite0",
        "weights": "imagenet",
        "map_stages": (2, 3),
    }
    network: Frozen

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.network = Frozen(settings)
        self.bank: Tensor | None = None  # (M, C)

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        sample = Reservoir(_CANDIDATES, seed=self.settings.seed)
        for images in batches:
            sample.update(self._patches(images).flatten(0, 2))
        patches = sample.vectors()
        count = max(_NEIGHBORS, math.ceil(_SHARE * len(patches)))
        self.bank = patches[coreset(patches, count, seed=self.settings.seed, progress=self.progress)]

    @torch.no_grad()
    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        assert self.bank is not None
        patches = self._patches(images)
        distance, index = (found.view(patches.shape[:3]) for found in nearest(patches.flatten(0, 2), self.bank))
        maps = enlarge(distance, (images.shape[2], images.shape[3]), self.settings.smooth)
        top, where = distance.flatten(1).max(1)
        batch = torch.arange(len(images), device=images.device)
        patch = patches.flatten(1, 2)[batch, where]  # (B, C), x*
        return top * reweight(patch, self.bank[index.flatten(1)[batch, where]], self.bank), maps

    def fitted(self) -> dict[str, Tensor]:
        assert self.bank is not None
        return {"bank": self.bank}

    def fitted_names(self) -> set[str]:
        return {"bank"}

    def restore(self, fitted: dict[str, Tensor]) -> None:
        self.bank = fitted["bank"]

    def _patches(self, images: Tensor) -> Tensor:
        """(B, h, w, C)."""
        maps = [F.avg_pool2d(x, 3, stride=1, padding=1) for x in self.network(images)]
        size = maps[0].shape[2:]
        resized = [F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in maps]
        return torch.cat(resized, dim=1).permute(0, 2, 3, 1)


def reweight(patch: Tensor, match: Tensor, bank: Tensor) -> Tensor:
    """The factor (B,) of eq. 7 for patches (B, C) whose nearest in the bank (M, C) are `match` (B, C)."""
    neighbors = torch.cdist(match, bank).topk(_NEIGHBORS, largest=False).indices  # (B, b), the match itself first
    distances = (patch[:, None] - bank[neighbors]).norm(dim=2)
    return 1 - distances.softmax(1)[:, 0]
