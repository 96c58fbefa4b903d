# SPDX-License-Identifier: Apache-2.0
"""Masked convolution with squeeze and excitation, forward and with all gradients, as the model uses them together."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from dssm import ops
from dssm.reference import mscm as reference

from .conftest import Timed, name_of, role_of
from .floors import multiply_adds
from .masked_peers import DilatedConvolution, FourConvolutions
from .passes import LAYOUTS, case, each_layout, each_pass, feature_map, run

SHAPES = {"c=512 8x8": (512, 8, 8), "c=64 64x64": (64, 64, 64)}
DILATION = 2
each_case = pytest.mark.parametrize("shape", SHAPES)

Function = Callable[[Tensor], Tensor]


@pytest.fixture
def four(shape: str) -> FourConvolutions:
    torch.manual_seed(0)
    return FourConvolutions(SHAPES[shape][0], DILATION)


@pytest.fixture
def x(shape: str, batch: int) -> Tensor:
    return feature_map(batch, SHAPES[shape])


def ours(four: FourConvolutions, backend: str) -> tuple[Function, list[Tensor]]:
    """Both in one op, and its weights."""
    weight, bias = (value.requires_grad_() for value in four.weights())
    gate = attention_weights(four)

    def function(x: Tensor) -> Tensor:
        return ops.mscm(x, weight, bias, dilation=DILATION, attention=gate, backend=backend)

    return function, [weight, bias, *gate]


def attention_weights(four: FourConvolutions) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    squeeze, excite = four.attention.squeeze, four.attention.excite
    return squeeze.weight, squeeze.bias, excite.weight, excite.bias


@each_case
@each_pass
@each_layout
def bench_dssm(
    timed: Timed, four: FourConvolutions, x: Tensor, shape: str, backward: bool, layout: str, backend: str
) -> None:
    function, weights = ours(four, backend)
    call = run(function, x.contiguous(memory_format=LAYOUTS[layout]), weights, backward)
    timed(case(shape, backward), name_of(backend) + layout, call, role_of(backend))


@each_case
@each_pass
@each_layout
def bench_four_convolutions(
    timed: Timed, four: FourConvolutions, x: Tensor, shape: str, backward: bool, layout: str
) -> None:
    call = run_module(four, x, layout, backward)
    timed(case(shape, backward), f"four 1x1 convolutions{layout}", call, "peer" if layout else "rival")


@each_case
@each_pass
@each_layout
def bench_dilated_convolution(
    timed: Timed, four: FourConvolutions, x: Tensor, shape: str, backward: bool, layout: str
) -> None:
    call = run_module(DilatedConvolution(four), x, layout, backward)
    timed(case(shape, backward), f"one dilated convolution{layout}", call)


def run_module(module: torch.nn.Module, x: Tensor, layout: str, backward: bool) -> Callable[[], object]:
    module = module.to(memory_format=LAYOUTS[layout])  # type: ignore[call-overload]
    return run(module, x.contiguous(memory_format=LAYOUTS[layout]), list(module.parameters()), backward)


@each_case
@each_pass
def bench_torch_compile(timed: Timed, four: FourConvolutions, x: Tensor, shape: str, backward: bool) -> None:
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("torch.compile needs a C++ compiler; install g++ or name one in CXX")
    weight, bias = (value.requires_grad_() for value in four.weights())

    def function(x: Tensor) -> Tensor:
        return reference.mscm(x, weight, bias, *attention_weights(four), DILATION, "sigmoid")[0]

    weights = [weight, bias, *four.attention.parameters()]
    call = run(
        torch.compile(function, dynamic=False), x.contiguous(memory_format=torch.channels_last), weights, backward
    )
    timed(case(shape, backward), "torch.compile of the reference", call)


@each_case
@each_pass
def bench_peak(timed: Timed, shape: str, batch: int, backward: bool) -> None:
    """The products that are not with padding; the gradients of input and weight cost as much again, each."""
    width, rows, columns = SHAPES[shape]
    inside = 4 * (rows - DILATION) * (columns - DILATION)
    count = batch * width**2 * inside * (3 if backward else 1)
    timed(case(shape, backward), "sgemm", multiply_adds(count), "floor")
