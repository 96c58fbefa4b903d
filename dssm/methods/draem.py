# SPDX-License-Identifier: Apache-2.0
"""DRAEM: paint synthetic defects over, and learn to see where that was done."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from dssm import ops
from dssm.errors import InputError
from dssm.methods.draem_loss import focal, ssim
from dssm.methods.draem_network import DraemNetwork
from dssm.methods.method import Method
from dssm.model.sspcab import predictive_loss
from dssm.reference.philox import METHOD, SOURCE, integer, philox, uniform
from dssm.settings import Settings
from dssm.training.precision import autocast

_TURNED, _DEGREES = 0.3, 45  # share of the good images that are turned, and how far at most
_MEAN_SIDE = 21  # of the mean filter before the largest pixel of a map is the image's score


class DRAEM(Method):
    """Zavrtanik, Kristan and Skočaj, "DRAEM: a discriminatively trained reconstruction embedding for surface anomaly
    detection", ICCV 2021.

    I_a = (1 - M) I + a M I + (1 - a) M A, M = Perlin noise > 1/2, A a texture after three random operations; all of M,
    so `ops.perlin` and `ops.blend` and not `ops.paste`, which keeps its largest region. An autoencoder restores I from
    I_a (I_r), a U-Net finds M in both (M_o):
    L = mean (I - I_r)^2 + 1 - SSIM(I, I_r) + Focal(M, M_o). The map is M_o, the image score its maximum after a mean
    over 21x21 pixels. The paper turns good images by up to 45 degrees; how many it leaves open, here it is 30 %. Of
    the images of a step one half has anomalies, where the paper tosses a coin for each.

    The paper's networks, of 128 and 64 channels on the first level, take about 200 billion multiplications per 256x256
    image, which two cores cannot train in a day: the setting `width` scales the channels. The setting `sspcab` puts
    an `SSPCAB` in place of the lowest level of the autoencoder.
    """

    network: DraemNetwork
    defaults: ClassVar[dict[str, Any]] = {
        "alpha": (0.0, 0.9),  # 1 - beta
        "batch": 8,
        "epochs": 700,
        "optimizer": "adam",
        "rate": 1e-4,
        "decay": 0.0,
        "schedule": "steps",
        "milestones": (4 / 7, 6 / 7),
    }

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.network = DraemNetwork(settings.width, settings.sspcab)

    def load_weights(self) -> None:
        if self.settings.weights is not None:
            raise InputError("draem trains networks of its own: leave out the setting weights")

    def losses(self, images: Tensor, textures: Tensor, index: Tensor) -> dict[str, Tensor]:
        clean, spoilt, masks = make_pairs(images, textures, index, self.settings)
        with autocast(images.device, self.settings.precision):
            restored, logits = self.network(spoilt)
        restored, target = restored.float(), clean.float() / 255
        return {
            "reconstruct": F.mse_loss(restored, target),
            "ssim": 1 - ssim(restored, target),
            "focal": focal(logits.float(), masks),
            **predictive_loss(self.network),
        }

    def samples(self, images: Tensor, textures: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        clean, spoilt, masks = (part.chunk(2)[1] for part in make_pairs(images, textures, index, self.settings))
        return clean, spoilt, masks

    @torch.no_grad()
    def score(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.network(images)[1].float().sigmoid()
        smooth = F.avg_pool2d(maps[:, None], _MEAN_SIDE, stride=1, padding=_MEAN_SIDE // 2)
        return smooth.flatten(1).amax(1), maps


def make_pairs(images: Tensor, textures: Tensor, index: Tensor, settings: Settings) -> tuple[Tensor, Tensor, Tensor]:
    """n good images (n, 3, H, W) uint8 twice, without and with defects: targets, inputs (2n, 3, H, W) uint8 and masks
    (2n, H, W) bool. A sample depends on (seed, its number) alone.
    """
    seed = settings.seed
    angle, share, opaque, _ = (uniform(word) for word in philox(seed, index, METHOD, 0))
    images = turned(images, torch.where(share < _TURNED, (2 * angle - 1) * math.radians(_DEGREES), 0))
    drawn = integer(philox(seed, index, SOURCE, 0)[0], 0, len(textures))
    source = ops.augment(textures[drawn], index, seed=seed, count=settings.augment)
    noise = ops.perlin(index, images.shape[2:], seed=seed, resolution=settings.resolution)
    masks = noise > settings.threshold
    low, high = settings.alpha
    spoilt = ops.blend(images, source, masks, low + (high - low) * opaque)
    return torch.cat([images, images]), torch.cat([images, spoilt]), torch.cat([torch.zeros_like(masks), masks])


def turned(images: Tensor, angle: Tensor) -> Tensor:
    """Images (B, 3, H, W) uint8 about their centre by (B,) radians; what comes in from outside is mirrored."""
    height, width = images.shape[2:]
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # affine_grid measures in half heights and half widths: the ratio keeps angles true in oblong images.
    rows = [cos, -sin * height / width, zero, sin * width / height, cos, zero]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(images.shape), align_corners=False)
    sampled = F.grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)
    return sampled.round().clamp(0, 255).to(torch.uint8)
