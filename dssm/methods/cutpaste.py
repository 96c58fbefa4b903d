# SPDX-License-Identifier: Apache-2.0
"""CutPaste: tell good images from ones in which a piece was moved to another place."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dssm import ops
from dssm.errors import InputError
from dssm.methods.dssm import DSSM
from dssm.methods.jitter import jitter
from dssm.model.backbone import BasicBlock, Convolution
from dssm.model.sspcab import SSPCAB, predictive_loss
from dssm.settings import Settings
from dssm.training.precision import autocast


class CutPaste(DSSM):
    """Li, Sohn, Yoon and Pfister, "CutPaste: self-supervised learning for anomaly detection and localization", CVPR
    2021.

    L = E sum_k CE(g(CP_k(x)), k): CP_0 leaves x, an image with jittered colours, as it is; CP_1 copies a patch of
    2-15 % of it to another place, CP_2 a thin rotated scar, their colours jittered once more. The setting `ways` 3
    takes all of them, 2 only the patch. g is a ResNet-18, an MLP and a linear layer; the image score is the Mahalanobis
    distance of pooled features (its section 2.4). Its maps come from a second network for 64x64 patches, 2401 of them
    per image; here they are distances of stage features, a Gaussian per position, as in `dssm`. The translation of
    images, whose range it does not give, is left out.

    The setting `sspcab` puts an `SSPCAB` in place of the last but one 3x3 convolution of the ResNet.
    """

    defaults: ClassVar[dict[str, Any]] = {"batch": 96, "epochs": 256, "regress": "none"}

    def __init__(self, settings: Settings) -> None:
        # Whatever preset the settings come from: one head, and maps that need no other.
        super().__init__(settings.replace(classify=True, regress="none", segment=False, map="mahalanobis"))
        if settings.sspcab:
            if settings.backbone != "resnet18":
                raise InputError(f"setting sspcab: cutpaste has a place for it in resnet18, not in {settings.backbone}")
            self._last_block.conv1 = SSPCAB(self.network.backbone.widths[-1])

    @property
    def _last_block(self) -> BasicBlock:
        block = self.network.backbone.get_submodule("layer4.1")
        assert isinstance(block, BasicBlock)
        return block

    @property
    def views(self) -> int:
        return self.settings.ways

    def load_weights(self) -> None:
        if not self.settings.sspcab:
            return super().load_weights()
        block, predictive = self._last_block, self._last_block.conv1
        width = self.network.backbone.widths[-1]
        block.conv1 = Convolution(width, width)  # for the weights that a file has in its place
        super().load_weights()
        block.conv1 = predictive

    def losses(self, images: Tensor, textures: Tensor, index: Tensor) -> dict[str, Tensor]:  # noqa: ARG002
        views, labels = make_views(images, index, seed=self.settings.seed, ways=self.settings.ways)
        with autocast(images.device, self.settings.precision):
            logits = self.network(views).logits.float()
        if self.settings.ways == 2:
            classify = F.binary_cross_entropy_with_logits(logits[:, 0], labels.float())
        else:
            classify = F.cross_entropy(logits, labels)
        return {"classify": classify, **predictive_loss(self.network)}

    def samples(self, images: Tensor, textures: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: ARG002
        good, *pasted = make_views(images, index, seed=self.settings.seed, ways=self.settings.ways)[0].split(
            len(images)
        )
        turn = torch.arange(len(images), device=images.device) % len(pasted)  # a patch, a scar, a patch, ...
        shown = torch.stack(pasted)[turn, torch.arange(len(images), device=images.device)]
        return good, shown, (shown != good).any(1)


def make_views(images: Tensor, index: Tensor, *, seed: int, ways: int) -> tuple[Tensor, Tensor]:
    """n good images (n, 3, H, W) uint8, then the same with a patch, then with a scar; and labels 0, 1, 2.

    Returns (ways n, 3, H, W) uint8 and (ways n,) int64; what happens to image i depends on (seed, index[i]) alone.
    """
    normal = jitter(images, index, seed=seed, draw=0)
    views = [normal]
    for label, kind in enumerate(("patch", "scar")[: ways - 1], start=1):
        pasted, mask, _ = ops.paste(normal, None, index, seed=seed, kind=kind)
        views.append(torch.where(mask[:, None], jitter(pasted, index, seed=seed, draw=label), pasted))
    return torch.cat(views), torch.arange(ways, device=images.device).repeat_interleave(len(images))
