# SPDX-License-Identifier: Apache-2.0
"""A layer timed forward, as in inference, or forward and backward, as in training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

LAYOUTS = {"": torch.contiguous_format, " channels_last": torch.channels_last}
each_pass = pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
each_layout = pytest.mark.parametrize("layout", LAYOUTS, ids=["nchw", "nhwc"])


def case(shape: str, backward: bool) -> str:
    return f"{shape} forward{'+backward' if backward else ''}"


def run(function: Callable[..., Tensor], x: Tensor, weights: Sequence[Tensor], backward: bool) -> Callable[[], object]:
    """The function, or it and the gradients of its input and weights."""
    if not backward:
        return torch.no_grad()(lambda: function(x))
    leaf = x.detach().requires_grad_()
    grad = torch.randn_like(x)
    return lambda: torch.autograd.grad(function(leaf), [leaf, *weights], grad)


def feature_map(batch: int, shape: tuple[int, int, int], layout: str = "", seed: int = 0) -> Tensor:
    """(B, C, H, W) of normal values."""
    x = torch.randn(batch, *shape, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=LAYOUTS[layout])
