# SPDX-License-Identifier: Apache-2.0
"""Batch normalisation in training with the shortcut and ReLU of a residual block, against PyTorch's three layers."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dssm import backends, ops

from .conftest import Timed
from .floors import memcpy, size
from .passes import case, each_layout, each_pass, feature_map, run

SHAPES = {f"c={width} {side}x{side}": (width, side, side) for width, side in ((64, 64), (512, 8))}
each_shape = pytest.mark.parametrize("shape", SHAPES)


@pytest.fixture
def weights(shape: str) -> list[Tensor]:
    width = SHAPES[shape][0]
    return [torch.ones(width, requires_grad=True), torch.zeros(width, requires_grad=True)]


@each_shape
@each_pass
@each_layout
def bench_dssm(timed: Timed, weights: list[Tensor], batch: int, shape: str, backward: bool, layout: str) -> None:
    reason = backends.load("batchnorm", "cpu")
    if isinstance(reason, str):
        pytest.skip(reason)
    shortcut = feature_map(batch, SHAPES[shape], layout, seed=1).requires_grad_()

    def function(x: Tensor) -> Tensor:
        return ops.batchnorm(x, weights[0], weights[1], shortcut, backend="cpu")[0]

    call = run(function, feature_map(batch, SHAPES[shape], layout), [*weights, shortcut], backward)
    timed(case(shape, backward), f"dssm{layout}", call, "ours")


@each_shape
@each_pass
@each_layout
def bench_torch(timed: Timed, weights: list[Tensor], batch: int, shape: str, backward: bool, layout: str) -> None:
    shortcut = feature_map(batch, SHAPES[shape], layout, seed=1).requires_grad_()

    def function(x: Tensor) -> Tensor:
        return F.relu(F.batch_norm(x, None, None, weights[0], weights[1], training=True) + shortcut, inplace=True)

    call = run(function, feature_map(batch, SHAPES[shape], layout), [*weights, shortcut], backward)
    timed(case(shape, backward), f"torch{layout}", call, "rival")


@each_shape
@each_pass
def bench_memcpy(timed: Timed, batch: int, shape: str, backward: bool) -> None:
    """Forward reads two maps and writes one; backward reads three (x, y and the gradient) and writes two."""
    maps = 8 if backward else 3
    timed(case(shape, backward), "memcpy", memcpy(maps * size(feature_map(batch, SHAPES[shape]))), "floor")
