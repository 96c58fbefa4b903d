# SPDX-License-Identifier: Apache-2.0
"""The loss: L = L_CE + lambda L_MSE (eq. 2 and 5), and that of the patch head where it is on."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dssm.model import Output
from dssm.settings import Settings
from dssm.training.batch import Batch


def losses(output: Output, batch: Batch, settings: Settings) -> dict[str, Tensor]:
    """The weighted terms by name; their sum is what training minimises. All in float32."""
    terms: dict[str, Tensor] = {}
    if output.logits is not None:
        logits = output.logits.float()
        if settings.ways == 2:
            terms["classify"] = F.binary_cross_entropy_with_logits(logits[:, 0], batch.labels.float())
        else:
            terms["classify"] = F.cross_entropy(logits, batch.labels)
    if output.regressed is not None and batch.targets is not None:
        terms["regress"] = settings.regress_weight * F.mse_loss(output.regressed.float(), batch.targets)
    if output.segmented is not None:
        terms["segment"] = settings.segment_weight * segment_loss(output.segmented.float(), batch.masks)
    return terms


def segment_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """How far the patch head (B, h, w) is from the share of each of its cells that the patch (B, H, W) covers.

    10 BCE + 1 - 2 sum(p s) / (sum(p) + sum(s)): patches are rare, which makes the cross-entropy small and its gradient
    that of the background; the overlap (Dice, Milletari et al. 2016) of the whole batch weighs both alike.
    """
    share = F.adaptive_avg_pool2d(masks[:, None].float(), (logits.shape[1], logits.shape[2]))[:, 0]
    p = logits.sigmoid()
    overlap = (2 * (p * share).sum() + 1) / (p.sum() + share.sum() + 1)
    return 10 * F.binary_cross_entropy_with_logits(logits, share) + 1 - overlap
