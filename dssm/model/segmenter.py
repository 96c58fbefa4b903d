# SPDX-License-Identifier: Apache-2.0
"""A head that finds the pasted patch: the second task that the paper's abstract names."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dssm.model.backbone import Convolution, Normalization


class Segmenter(nn.Module):
    """The four stages -> logits (B, H/4, W/4); coarse stages are upsampled and added to fine ones (FPN, Lin 2017)."""

    def __init__(self, widths: tuple[int, ...], width: int = 64) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in widths)
        self.smooth = nn.Sequential(Convolution(width, width), Normalization(width))
        self.logit = nn.Conv2d(width, 1, 1)
        nn.init.constant_(self.logit.bias, -4.0)  # type: ignore[arg-type]  # patches are rare: start from 2 %

    def forward(self, stages: list[Tensor]) -> Tensor:
        x = self.laterals[-1](stages[-1])
        for lateral, stage in zip(reversed(self.laterals[:-1]), reversed(stages[:-1]), strict=True):
            x = lateral(stage) + F.interpolate(x, size=stage.shape[2:], mode="bilinear", align_corners=False)
        return self.logit(self.smooth(x)).squeeze(1)
