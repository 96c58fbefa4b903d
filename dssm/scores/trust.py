# SPDX-License-Identifier: Apache-2.0
"""How much each of several maps is to be trusted, from defects that are pasted into good images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from dssm import ops
from dssm.data.grey import grey_where
from dssm.ops.paste import KINDS

AREA = (0.001, 0.02)  # share of the image: small, for large defects tell maps apart less
ALPHA = (0.2, 0.8)
LEAST = 0.05  # of the mean: a few images know a deviation badly


def deface(images: Tensor, index: Tensor, seed: int) -> Tensor:
    """Every image (B, 3, H, W) uint8 with a noise patch of itself, with a scar, and with a patch: (3 B, 3, H, W)."""
    count = len(KINDS)
    images, index = images.repeat(count, 1, 1, 1), torch.cat([index * count + k for k in range(count)])
    kind = torch.arange(count, device=images.device).repeat_interleave(len(index) // count)
    source = ops.augment(images.flip(2, 3).contiguous(), index, seed=seed, count=3)
    return grey_where(images, ops.paste(images, source, index, seed=seed, kind=kind, alpha=ALPHA, area=AREA)[0])


def trust(clean: Mapping[str, Tensor], defaced: Mapping[str, Tensor], names: Sequence[str], power: float) -> Tensor:
    """Weights (len(names),), 1 on average, from the tops of maps of good images (n,) and of the same defaced (k n,).

    A map weighs as a power of its separation: the mean rise of its top, in deviations of the tops of good images.
    The patch head was trained on such patches, which would flatter it: it weighs as the mean of the others.
    """
    known = {name: _separation(clean[name], defaced[name]) ** power + 1e-6 for name in names if name != "segmentation"}
    mean = sum(known.values()) / len(known) if known else 1.0
    return torch.tensor([known.get(name, mean) / mean for name in names])


def _separation(clean: Tensor, defaced: Tensor) -> float:
    rise = defaced.mean() - clean.mean()  # every clean image has as many defaced ones
    deviation = torch.maximum(clean.std(correction=0), LEAST * clean.mean().abs()).clamp_min(1e-6)
    return max((rise / deviation).item(), 0.0)
