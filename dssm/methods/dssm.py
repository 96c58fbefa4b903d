# SPDX-License-Identifier: Apache-2.0
"""The paper's method: two self-supervised tasks, then Mahalanobis distances."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from dssm.methods.method import Method
from dssm.model import Network
from dssm.scores import Scorer
from dssm.settings import Settings
from dssm.training.batch import make_batch
from dssm.training.loss import losses
from dssm.training.precision import autocast


class DSSM(Method):
    """Tells pasted images from good ones, predicts HOG through masked features, scores by Gaussians of features."""

    network: Network

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.network = Network(settings)
        self.scorer = Scorer(settings, self.network.backbone.widths)

    def losses(self, images: Tensor, textures: Tensor, index: Tensor) -> dict[str, Tensor]:
        batch = make_batch(images, textures, index, self.settings)
        with autocast(images.device, self.settings.precision):
            output = self.network(batch.images)
        return losses(output, batch, self.settings)

    def samples(self, images: Tensor, textures: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch = make_batch(images, textures, index, self.settings)
        good, pasted = batch.images.chunk(2)
        return good, pasted, batch.masks.chunk(2)[1]

    def fit(self, batches: Iterable[Tensor]) -> None:
        self.scorer.fit(self.network, batches, self.progress)

    def calibrate(self, batches: Iterable[Tensor]) -> None:
        self.scorer.calibrate(self.network, batches)

    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.scorer.score(self.network, images)

    def for_scoring(self, dtype: torch.dtype = torch.float32) -> DSSM:
        scoring = super().for_scoring(dtype)
        assert isinstance(scoring, DSSM)
        scoring.scorer = self.scorer.for_scoring()
        return scoring

    @property
    def training_heads(self) -> tuple[str, ...]:
        heads = ("classifier", "regressor")
        return heads if self.settings.image_score == "projector" else ("projector", *heads)

    def fitted(self) -> dict[str, Tensor]:
        return self.scorer.state()

    def fitted_names(self) -> set[str]:
        return self.scorer.expected()

    def restore(self, fitted: dict[str, Tensor]) -> None:
        self.scorer.load_state(fitted)
