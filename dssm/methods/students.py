# SPDX-License-Identifier: Apache-2.0
"""Uninformed Students: where students who saw good images alone disagree with their teacher and among themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from dssm.methods.method import Method
from dssm.model import backbones
from dssm.scores import Moments
from dssm.scores.maps import enlarge
from dssm.settings import Settings
from dssm.training.precision import autocast

_STUDENTS = 3
_SCALES = 2  # stages of the teacher that are learned


class Students(Method):
    """Bergmann, Fauser, Sattlegger and Steger, "Uninformed students", CVPR 2020.

    M = 3 students learn the teacher's descriptors y of good images, standardised: at each position and scale
        L = sum_i || mu_i - (y - m) / s ||^2 / M,  m and s the mean and deviation of y's channels,
    mu_i being what student i predicts. A position's score is the regression error of the students' mean plus their
    variance, each put on one scale by its mean and deviation over good images that were held out:
        e = || mean_i mu_i - (y - m) / s ||^2,  v = mean_i ||mu_i||^2 - || mean_i mu_i ||^2.
    The map is the mean over scales, the image's score its top. The paper's teachers are small networks distilled on
    ImageNet from a ResNet-18 for patches of 17, 33 and 65 pixels. No such images are here: the teacher is the beginning
    of EfficientNet-Lite0, whose first two stages see 19 and 67 pixels, and students are of the same kind. Those have
    batch norms, so a step takes four images at 1e-3 instead of the paper's one at 1e-4.
    """

    defaults: ClassVar[dict[str, Any]] = {
        "backbone": "efficientnet-lite0",
        "weights": "imagenet",
        "epochs": 100,
        "batch": 8,
        "optimizer": "adamw",
        "rate": 1e-3,
        "decay": 1e-5,
        "smooth": 0.0,
    }
    network: Classroom

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.network = Classroom(settings)
        self.scale: Tensor | None = None  # (scales, 2, 2): mean and deviation of error and variance

    @torch.no_grad()
    def prepare(self, batches: Iterable[Tensor]) -> None:
        moments = [Moments() for _ in range(_SCALES)]
        for images in batches:
            for known, stage in zip(moments, self.network.backbone.stages(images), strict=True):
                known.update(stage.permute(0, 2, 3, 1).flatten(0, 2))
        for known, scale in zip(moments, self.network.scales(), strict=True):
            scale.copy_(_scale(known))

    def losses(self, images: Tensor, textures: Tensor, index: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        with autocast(images.device, self.settings.precision):
            descriptors, predicted = self.network(images)
        return {
            f"stage{number}": (guess - descriptor).square().sum(2).mean()
            for number, (descriptor, guess) in enumerate(zip(descriptors, predicted, strict=True), start=1)
        }

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Nothing: the students have learned all."""

    @torch.no_grad()
    def calibrate(self, batches: Iterable[Tensor]) -> None:
        moments = [Moments() for _ in range(_SCALES)]
        for images in batches:
            for known, values in zip(moments, self._errors(images), strict=True):
                known.update(values.permute(0, 2, 3, 1).flatten(0, 2))
        self.scale = torch.stack([_scale(known) for known in moments])

    @torch.no_grad()
    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        assert self.scale is not None
        size = (images.shape[2], images.shape[3])
        maps = torch.zeros(len(images), *size, device=images.device)
        for values, scale in zip(self._errors(images), self.scale, strict=True):
            maps += enlarge(_standard(values, scale).sum(1), size, self.settings.smooth) / _SCALES
        return maps.flatten(1).amax(1), maps

    def fitted(self) -> dict[str, Tensor]:
        assert self.scale is not None
        return {"scale": self.scale}

    def fitted_names(self) -> set[str]:
        return {"scale"}

    def restore(self, fitted: dict[str, Tensor]) -> None:
        self.scale = fitted["scale"]

    def _errors(self, images: Tensor) -> list[Tensor]:
        """Per scale, regression error and predictive variance (B, 2, h, w)."""
        return [
            torch.stack([(guess.mean(0) - descriptor).square().sum(1), guess.var(0, unbiased=False).sum(1)], dim=1)
            for descriptor, guess in zip(*self.network(images), strict=True)
        ]


class Student(nn.Module):
    """A network of the teacher's kind, from scratch, and one linear layer per scale."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.body = backbones.build(settings, depth=_SCALES)
        self.heads = nn.ModuleList(nn.Conv2d(width, width, 1) for width in self.body.widths)

    def forward(self, images: Tensor) -> list[Tensor]:
        return [head(stage).float() for head, stage in zip(self.heads, self.body.stages(images), strict=True)]


class Classroom(nn.Module):
    """The teacher, frozen, with mean and deviation of its descriptors; and the students."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.backbone = backbones.build(settings, depth=_SCALES).requires_grad_(False)
        self.students = nn.ModuleList(Student(settings) for _ in range(_STUDENTS))
        for number, width in enumerate(self.backbone.widths, start=1):
            self.register_buffer(f"scale{number}", torch.tensor([[0.0, 1.0]]).repeat(width, 1))

    def scales(self) -> list[Tensor]:
        """Mean and deviation (C, 2) of the descriptors, per scale."""
        return [self.get_buffer(f"scale{number}") for number in range(1, _SCALES + 1)]

    def train(self, mode: bool = True) -> Classroom:
        super().train(mode)
        self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Per scale, standardised descriptors (B, C, h, w) and what the students predict (M, B, C, h, w), float32."""
        with torch.no_grad():
            stages = self.backbone.stages(images)
            descriptors = [_standard(x.float(), scale) for x, scale in zip(stages, self.scales(), strict=True)]
        predicted = [torch.stack(guesses) for guesses in zip(*(s(images) for s in self.students), strict=True)]
        return descriptors, predicted


def _standard(x: Tensor, scale: Tensor) -> Tensor:
    """(B, C, h, w) less the mean, over the deviation of each channel; scale (C, 2)."""
    return (x - scale[:, 0, None, None]) / scale[:, 1, None, None]


def _scale(moments: Moments) -> Tensor:
    """Mean and deviation of each column, (C, 2) float32."""
    assert moments.mean is not None
    assert moments.scatter is not None
    deviation = (moments.scatter.diagonal() / moments.count).sqrt().clamp_min(1e-6)
    return torch.stack([moments.mean, deviation], dim=1).float()
