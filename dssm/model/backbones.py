# SPDX-License-Identifier: Apache-2.0
"""The feature extractors to choose from. Each maps (B, 3, H, W) to its stages and says how wide those are."""

from __future__ import annotations

from dssm.model.backbone import ResNet18
from dssm.settings import Settings

BACKBONES = {"resnet18": ResNet18}


def build(settings: Settings) -> ResNet18:
    """The backbone that the settings name, with random weights."""
    return BACKBONES[settings.backbone]()
