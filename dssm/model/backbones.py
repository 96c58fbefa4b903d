# SPDX-License-Identifier: Apache-2.0
"""The feature extractors to choose from."""

from __future__ import annotations

import torch

from dssm.model.backbone import Backbone, ResNet18
from dssm.model.efficientnet import EfficientNetLite0
from dssm.settings import Settings

BACKBONES: dict[str, type[Backbone]] = {"resnet18": ResNet18, "efficientnet-lite0": EfficientNetLite0}


def build(settings: Settings, depth: int = 4) -> Backbone:
    """The first `depth` stages of the backbone that the settings name, with random weights, channels_last."""
    backbone = BACKBONES[settings.backbone](depth)
    return backbone.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
