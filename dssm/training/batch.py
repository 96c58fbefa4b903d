# SPDX-License-Identifier: Apache-2.0
"""A training batch: good images and their pasted twins. It depends on (seed, sample index) alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dssm import ops
from dssm.data.grey import grey_where
from dssm.model.network import TARGET_VALUES
from dssm.ops.paste import KINDS
from dssm.reference.philox import KIND, SOURCE, integer, philox
from dssm.settings import Settings
from dssm.training.window import window

HOG_WINDOW = (128, 64)  # height, width of the Dalal-Triggs window: 3780 values
RGB_WINDOW = (42, 30)  # 42 * 30 * 3 = 3780 values


@dataclass
class Batch:
    """n good images followed by the same n images with a patch."""

    images: Tensor  # (2n, 3, H, W) uint8
    labels: Tensor  # (2n,) int64: 0 normal, 1 pasted; with three ways 1 noise, 2 scar or patch
    masks: Tensor  # (2n, H, W) bool, the pasted pixels
    targets: Tensor | None  # (2n, 3780) float32, what the decoder must predict


def make_batch(images: Tensor, textures: Tensor, index: Tensor, settings: Settings) -> Batch:
    """images (n, 3, H, W) uint8 good images, textures (T, 3, H, W) uint8, index (n,) int64 sample numbers."""
    seed = settings.seed
    drawn = integer(philox(seed, index, SOURCE, 0)[0], 0, len(textures))
    source = textures[drawn]
    if settings.crop is not None:
        images, source = (window(whole, index, seed=seed, side=settings.crop) for whole in (images, source))
    source = ops.augment(source, index, seed=seed, count=settings.augment)
    choices = torch.tensor([KINDS.index(name) for name in settings.patches], device=images.device)
    kind = choices[integer(philox(seed, index, KIND, 0)[0], 0, len(choices))]
    pasted, mask, _ = ops.paste(
        images,
        source,
        index,
        seed=seed,
        kind=kind,
        threshold=settings.threshold,
        alpha=settings.alpha,
        resolution=settings.resolution,
        area=settings.area,
    )
    pasted = grey_where(images, pasted)
    abnormal = 1 + (kind > 0).long() if settings.ways == 3 else torch.ones_like(kind)
    both = torch.cat([images, pasted])
    if settings.target == "clean":
        clean = make_targets(images, settings.regress)
        targets = None if clean is None else torch.cat([clean, clean])
    else:
        targets = make_targets(both, settings.regress)
    return Batch(
        images=both,
        labels=torch.cat([torch.zeros_like(abnormal), abnormal]),
        masks=torch.cat([torch.zeros_like(mask), mask]),
        targets=targets,
    )


def make_targets(images: Tensor, regress: str) -> Tensor | None:
    """What the decoder predicts (eq. 5): (B, 3780) float32, HOG of a 64x128 window, pixels in [-1, 1], or None."""
    if regress == "none":
        return None
    if regress == "rgb":
        small = F.interpolate(images.float(), size=RGB_WINDOW, mode="bilinear", antialias=True, align_corners=False)
        return (small / 127.5 - 1).flatten(1)
    targets = ops.hog(images, size=HOG_WINDOW)
    assert targets.shape[1] == TARGET_VALUES
    return targets
