# SPDX-License-Identifier: Apache-2.0
"""The network of methods that train nothing: a backbone as it comes."""

from __future__ import annotations

from torch import Tensor, nn

from dssm.model import backbones
from dssm.settings import Settings


class Frozen(nn.Module):
    """The stages of a backbone that enter the map (`map_stages`), finest first; later stages are not even built."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.chosen = sorted(settings.map_stages)
        self.backbone = backbones.build(settings, depth=self.chosen[-1]).requires_grad_(False)

    @property
    def width(self) -> int:
        """Channels of the chosen stages together."""
        return sum(self.backbone.widths[stage - 1] for stage in self.chosen)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) uint8 -> their maps, float32."""
        stages = self.backbone.stages(images)
        return [stages[stage - 1].float() for stage in self.chosen]
