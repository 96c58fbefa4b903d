# SPDX-License-Identifier: Apache-2.0
"""The 3x3 convolutions of ResNet-18's four stages on 256x256 images, against PyTorch's in both layouts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dssm import backends, ops

from .conftest import Timed
from .floors import multiply_adds
from .passes import case, each_layout, each_pass, feature_map, run

SHAPES = {f"c={width} {side}x{side}": (width, side, side) for width, side in ((64, 64), (128, 32), (256, 16), (512, 8))}
each_shape = pytest.mark.parametrize("shape", SHAPES)


@pytest.fixture
def weight(shape: str) -> Tensor:
    width = SHAPES[shape][0]
    return (torch.randn(width, width, 3, 3, generator=torch.Generator().manual_seed(1)) / width).requires_grad_()


@each_shape
@each_pass
@each_layout
def bench_dssm(timed: Timed, weight: Tensor, batch: int, shape: str, backward: bool, layout: str) -> None:
    reason = backends.load("convolution", "cpu")
    if isinstance(reason, str):
        pytest.skip(reason)
    x = feature_map(batch, SHAPES[shape], layout)
    call = run(lambda x: ops.convolution(x, weight, backend="cpu"), x, [weight], backward)
    timed(case(shape, backward), f"dssm{layout}", call, "ours")


@each_shape
@each_pass
@each_layout
def bench_torch(timed: Timed, weight: Tensor, batch: int, shape: str, backward: bool, layout: str) -> None:
    x = feature_map(batch, SHAPES[shape], layout)
    call = run(lambda x: F.conv2d(x, weight, padding=1), x, [weight], backward)
    timed(case(shape, backward), f"torch{layout}", call, "rival")


@each_shape
@each_pass
def bench_peak(timed: Timed, batch: int, shape: str, backward: bool) -> None:
    """Winograd's F(4x4, 3x3) multiplies 36 pairs where the definition multiplies 144; its transforms come on top."""
    width, rows, columns = SHAPES[shape]
    products = batch * width**2 * rows * columns * 36 / 16
    timed(case(shape, backward), "sgemm", multiply_adds(products * (3 if backward else 1)), "floor")
