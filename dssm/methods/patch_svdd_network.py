# SPDX-License-Identifier: Apache-2.0
"""Patch SVDD's encoders of patches of 32x32 and 64x64 pixels, and what training asks of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_FEATURES = 64
_WIDTHS = (32, 64, 128, 128, 64, 32, 32, _FEATURES)
SMALL, LARGE = 32, 64  # sides of the patches
STRIDES = {SMALL: 4, LARGE: 16}  # pixels between the patches that are scored


class PatchEncoder(nn.Module):
    """f: a patch -> 64 features in (-1, 1); that of 64x64 pixels joins those of its four quarters (the paper's Fig. 3).

    No convolution is padded, so one pass over an image gives the features of all its patches of 32x32 at every other
    pixel, the same as if each were encoded alone.
    """

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *_WIDTHS), _WIDTHS, strict=False):
            layers += [nn.Conv2d(inputs, outputs, 3, 1 if layers else 2), nn.LeakyReLU(0.1, inplace=True)]
        self.small = nn.Sequential(*layers[:-1], nn.Tanh())
        self.join = nn.Conv2d(_FEATURES, 128, 2)
        self.narrow = nn.Conv2d(128, _FEATURES, 1)
        self.position = nn.ModuleDict({str(size): PositionClassifier() for size in (SMALL, LARGE)})
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):  # torch's own would make all patches alike at first
                nn.init.kaiming_normal_(module.weight, a=0.1)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.register_buffer("mean", torch.zeros(3, 1, 1))  # of the good images' pixels

    def centered(self, images: Tensor) -> Tensor:
        """uint8 images -> about -1..1."""
        return (images.float() - self.mean) / 255

    def forward(self, patches: Tensor) -> Tensor:
        """Centred patches (N, 3, K, K), K = 32 or 64 -> (N, 64)."""
        if patches.shape[2] == SMALL:
            return self.small(patches).flatten(1)
        quarters = patches.unflatten(3, (2, SMALL)).unflatten(2, (2, SMALL)).permute(0, 2, 4, 1, 3, 5)
        encoded = self.small(quarters.flatten(0, 2)).view(-1, 2, 2, _FEATURES).permute(0, 3, 1, 2)
        return self._joined(encoded).flatten(1)

    def dense(self, images: Tensor) -> dict[int, Tensor]:
        """Features (B, 64, h, w) of the patches of both sizes that lie in the images at their strides."""
        everywhere = self.small(self.centered(images))  # at every other pixel
        step = STRIDES[SMALL] // 2
        return {
            SMALL: everywhere[:, :, ::step, ::step].float(),
            LARGE: self._joined(everywhere, stride=STRIDES[LARGE] // 2, apart=SMALL // 2).float(),
        }

    def _joined(self, quarters: Tensor, stride: int = 1, apart: int = 1) -> Tensor:
        """Features of patches whose quarters lie `apart` cells from each other."""
        x = F.conv2d(quarters, self.join.weight, self.join.bias, stride=stride, dilation=apart)
        return torch.tanh(self.narrow(F.leaky_relu(x, 0.1)))


class PositionClassifier(nn.Sequential):
    """Features of a patch minus those of a neighbour -> logits of the eight places where the neighbour may lie."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(_FEATURES, 128), nn.LeakyReLU(0.1), nn.Linear(128, 128), nn.LeakyReLU(0.1), nn.Linear(128, 8)
        )
