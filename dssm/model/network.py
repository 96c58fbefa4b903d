# SPDX-License-Identifier: Apache-2.0
"""The double self-supervised network (paper, Fig. 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from dssm.model import backbones, masking
from dssm.model.attention import ChannelAttention
from dssm.model.backbone import pool
from dssm.model.decoder import Decoder
from dssm.model.projector import Classifier, Projector
from dssm.model.segmenter import Segmenter
from dssm.settings import Settings

TARGET_VALUES = 3780  # HOG of a 64x128 window; RGB of a 30x42 one has as many


Module = TypeVar("Module", bound=nn.Module)


@dataclass
class Output:
    """What a forward pass yields; a head that the settings switch off yields None."""

    stages: list[Tensor]  # four feature maps of the backbone
    projected: Tensor | None  # (B, 512)
    logits: Tensor | None  # (B, 1) or (B, 3)
    regressed: Tensor | None  # (B, 3780)
    segmented: Tensor | None  # (B, H/4, W/4) logits


def _channels_last(module: Module) -> Module:
    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Regressor(nn.Sequential):
    """Masking, attention and decoder (eq. 4); the masked convolution applies the attention itself."""

    def __init__(self, mask: nn.Module, width: int) -> None:
        super().__init__(mask, ChannelAttention(width), Decoder(TARGET_VALUES, width))

    def forward(self, x: Tensor) -> Tensor:
        mask, attention, decoder = self
        if isinstance(mask, masking.MSCM):
            return decoder(mask(x, attention))
        return decoder(attention(mask(x)))


class Network(nn.Module):
    """Backbone f, projector g and classifier W (eq. 1-2), masking, attention and decoder (eq. 4), patch head."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.backbone = backbones.build(settings)
        width = self.backbone.widths[-1]
        self.projector = Projector(width) if settings.classify else None
        self.classifier = Classifier(settings.ways, width) if settings.classify else None
        self.regressor = None
        if settings.regress != "none":
            self.regressor = Regressor(masking.build(settings, width), width)
        self.segmenter = _channels_last(Segmenter(self.backbone.widths)) if settings.segment else None
        self.frozen = settings.frozen
        if self.frozen:
            self.backbone.requires_grad_(False)

    def train(self, mode: bool = True) -> Network:
        """As every module; a frozen backbone also keeps its averages."""
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def stages(self, images: Tensor) -> list[Tensor]:
        """The backbone's four stages for (B, 3, H, W) uint8 or 0..255 floating images."""
        return self.backbone.stages(images)

    def forward(self, images: Tensor) -> Output:
        stages = self.stages(images)
        projected = self.projector(pool(stages)) if self.projector is not None else None
        return Output(
            stages=stages,
            projected=projected,
            logits=self.classifier(projected) if self.classifier is not None else None,
            regressed=self.regressor(stages[-1]) if self.regressor is not None else None,
            segmented=self.segmenter(stages) if self.segmenter is not None else None,
        )
