# SPDX-License-Identifier: Apache-2.0
"""Networks as they score: what training alone needs is worked out beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from types import ModuleType
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dssm import backends
from dssm.model import efficientnet
from dssm.model.backbone import Backbone, Normalization, ResNet18
from dssm.model.segmenter import Segmenter

_VALUES = 2**22  # of the largest map at once: such memory the allocator keeps, more it fetches anew every time

Module = TypeVar("Module", bound=nn.Module)


def for_inference(network: Module, dtype: torch.dtype = torch.float32) -> Module:
    """A copy that shares all weights but those of its backbones and patch heads, whose normalisation is folded.

    `dtype` is what those compute in, where autocast does not say otherwise. The copy cannot be trained or saved.
    """
    shared = {id(value): value for value in (*network.parameters(), *network.buffers())}
    copy = deepcopy(network, shared).eval()
    for part in list(copy.modules()):
        if isinstance(part, (Backbone, Segmenter)):
            _fold(part, dtype)
        if isinstance(part, ResNet18):
            stem = Sliced(nn.Sequential(part.bn1, part.maxpool), largest=16)
            part.add_module("bn1", nn.Identity())
            part.add_module("maxpool", stem)
        for name, child in list(part.named_children()):
            if isinstance(child, efficientnet.EfficientNetLite0):
                setattr(part, name, Sliced(child, largest=24))
    return copy


class Folded(nn.Module):
    """A convolution and the batch normalisation after it in one, then the addition of a shortcut and a clamp.

    weight' = weight g r, bias' = b - m g r, r = 1 / sqrt(v + eps), with the normalisation's averages m and v, its
    weight g and its bias b (Jacob et al., CVPR 2018, section 3.2). Takes the place of the normalisation.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, convolution: nn.Conv2d, norm: nn.BatchNorm2d, dtype: torch.dtype) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.double() * (norm.running_var.double() + norm.eps).rsqrt()
        weight = (convolution.weight.double() * scale[:, None, None, None]).to(dtype)
        self.register_buffer("weight", weight.detach().contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", (norm.bias.double() - norm.running_mean.double() * scale).to(dtype).detach())
        self.stride, self.groups = convolution.stride, convolution.groups
        assert not isinstance(convolution.padding, str)
        down, right = convolution.padding
        sides = convolution.sides if isinstance(convolution, efficientnet.Convolution) else ()
        self.sides = sides or (right, right, down, down)
        self.clamp = (0.0, math.inf) if isinstance(norm, Normalization) else (-math.inf, math.inf)
        kernels = _kernels(self.weight)
        self.kernel = (
            kernels.fixed(self.weight, self.bias, self.stride[0], self.sides, self.groups) if kernels else None
        )

    def forward(
        self, x: Tensor, shortcut: Tensor | None = None, relu: bool | None = None, most: float = math.inf
    ) -> Tensor:
        """relu(weight' * x + bias' + shortcut), at most `most`; `relu` is by default whether the norm had one."""
        low, high = self.clamp if relu is None else (0.0 if relu else -math.inf, most)
        if self.kernel is not None and _kernels(x):
            y = self.kernel(x, shortcut, low, high)
            if y is not None:
                return y
        left, right, top, bottom = self.sides
        padding = (top, left)
        if (left, top) != (right, bottom):
            x, padding = F.pad(x, self.sides), (0, 0)
        x = F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)
        x = x if shortcut is None else x.add_(shortcut)
        if high < math.inf:
            return x.clamp_(low, high)
        return x.relu_() if low == 0 else x


class Sliced(nn.Module):
    """A network that sees a few images at a time, so that its largest map, of `largest` values per pixel, stays small.

    Where a few are as good as many it is the faster, for large memory is slow when it is new.
    """

    def __init__(self, network: nn.Module, largest: int) -> None:
        super().__init__()
        self.network, self.largest = network, largest

    def forward(self, x: Tensor) -> Any:
        return self._each(self.network, x)

    def stages(self, images: Tensor) -> list[Tensor]:
        """Those of a backbone."""
        assert isinstance(self.network, Backbone)
        return self._each(self.network.stages, images)

    def _each(self, function: Callable[[Tensor], Any], x: Tensor) -> Any:
        count = max(1, _VALUES // (self.largest * x.shape[2] * x.shape[3]))
        if x.device.type != "cpu" or len(x) <= count:
            return function(x)
        parts = [function(part) for part in x.split(count)]
        return (
            torch.cat(parts) if isinstance(parts[0], Tensor) else [torch.cat(maps) for maps in zip(*parts, strict=True)]
        )


def _kernels(x: Tensor) -> ModuleType | None:
    """The C++ kernels of the convolution, where they are what would run it."""
    name, module = backends.choose("convolution", x.device)
    return module if name == "cpu" else None


def _fold(network: nn.Module, dtype: torch.dtype) -> None:
    """A normalisation that follows a convolution becomes both, and the convolution nothing."""
    for parent in list(network.modules()):
        for (first, convolution), (second, norm) in pairwise(list(parent.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, first, nn.Identity())
                setattr(parent, second, Folded(convolution, norm, dtype))
