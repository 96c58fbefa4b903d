# SPDX-License-Identifier: Apache-2.0
"""Batch normalisation with addition and ReLU against torch's modules in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dssm import backends
from dssm.errors import InputError
from dssm.ops import batchnorm

BACKENDS = backends.available("batchnorm", "cpu")
each_backend = pytest.mark.parametrize("backend", BACKENDS)
each_relu = pytest.mark.parametrize("relu", [True, False])
each_residual = pytest.mark.parametrize("residual", [True, False], ids=["residual", "alone"])

# Maps whose channels fill vectors go to the kernel, the others to torch; 257 rows are one more than a slice.
SIZES = [(2, 32, 5, 7), (1, 64, 257, 1), (3, 16, 17, 16), (2, 5, 4, 3), (1, 32, 3, 2)]


def case(size: tuple[int, ...], residual: bool, generator: torch.Generator) -> list[Tensor | None]:
    def maps() -> Tensor:
        return torch.randn(size, generator=generator).to(memory_format=torch.channels_last)

    weight, bias = torch.randn(2, size[1], generator=generator)
    return [maps() * 3 + 7, weight, bias, maps() if residual else None]


def exact(arguments: list[Tensor | None], relu: bool) -> Tensor:
    x, weight, bias, residual = (None if tensor is None else tensor.double() for tensor in arguments)
    y = F.batch_norm(x, None, None, weight, bias, training=True)
    y = y if residual is None else y + residual
    return y.relu() if relu else y


@each_backend
@each_relu
@each_residual
@pytest.mark.parametrize("size", SIZES)
def test_equals_torch(
    size: tuple[int, ...], residual: bool, relu: bool, backend: str, generator: torch.Generator, close: Callable
) -> None:
    arguments = case(size, residual, generator)
    y, mean, rstd = batchnorm(*arguments, relu=relu, backend=backend)
    close(y, exact(arguments, relu))
    x = arguments[0].double()
    close(mean, x.mean((0, 2, 3)))
    close(rstd, (x.var((0, 2, 3), correction=0) + 1e-5).rsqrt())


@each_backend
@each_relu
@each_residual
@pytest.mark.parametrize("size", SIZES)
def test_gradients(size: tuple[int, ...], residual: bool, relu: bool, backend: str, generator: torch.Generator) -> None:
    arguments = case(size, residual, generator)
    grad = torch.randn(size, generator=generator)
    leaves = [None if tensor is None else tensor.clone().requires_grad_() for tensor in arguments]
    given = [leaf for leaf in leaves if leaf is not None]
    y = batchnorm(*leaves, relu=relu, backend=backend)[0]
    expected_y = exact(leaves, relu)
    # A value next to zero may fall on either side of the ReLU.
    grad = torch.where(expected_y.detach().abs() < 1e-4, 0, grad)
    actual = torch.autograd.grad(y, given, grad)
    expected = torch.autograd.grad(expected_y, given, grad.double())
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4 * b.abs().max().item(), check_dtype=False)


@each_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_layouts_and_dtypes(
    dtype: torch.dtype, layout: Callable, backend: str, generator: torch.Generator, close: Callable
) -> None:
    arguments = case((3, 16, 6, 7), True, generator)
    x, residual = (layout(arguments[i].to(dtype)) for i in (0, 3))
    statistics = torch.float64 if dtype == torch.float64 else torch.float32
    weight, bias = (arguments[i].to(statistics) for i in (1, 2))
    y = batchnorm(x, weight, bias, residual, backend=backend)[0]
    assert y.dtype == dtype
    close(y, exact([x, weight, bias, residual], relu=True))


@each_backend
def test_a_large_mean_does_not_swallow_the_variance(backend: str, generator: torch.Generator) -> None:
    x = (torch.randn(4, 16, 32, 32, generator=generator) + 1000).to(memory_format=torch.channels_last)
    rstd = batchnorm(x, torch.ones(16), torch.zeros(16), backend=backend)[2]
    expected = (x.double().var((0, 2, 3), correction=0) + 1e-5).rsqrt()
    torch.testing.assert_close(rstd.double(), expected, rtol=1e-5, atol=0)


@each_backend
def test_registration(backend: str, generator: torch.Generator) -> None:
    for size in SIZES[:1] + SIZES[3:4]:
        x, weight, bias, residual = case(size, True, generator)
        for inputs in ((x, weight, bias, residual), (x.contiguous(), weight, bias, None)):
            leaves = [None if tensor is None else tensor.clone().requires_grad_() for tensor in inputs]
            torch.library.opcheck(torch.ops.dssm.batchnorm.default, (*leaves, 1e-5, True, backend))
            saved = batchnorm(*inputs, backend=backend)
            grad = torch.ones_like(saved[0])
            arguments = (grad, *inputs, 1e-5, True, backend, *saved)
            torch.library.opcheck(torch.ops.dssm.batchnorm_backward.default, arguments)


def test_float64_gradcheck(generator: torch.Generator) -> None:
    leaves = [tensor.double().requires_grad_() for tensor in case((2, 2, 3, 2), True, generator)]
    torch.autograd.gradcheck(lambda *a: batchnorm(*a, relu=False, backend="reference")[0], leaves)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": torch.zeros(2, 8, 8)}, "x must have 4 dimensions"),
        ({"x": torch.zeros(0, 2, 8, 8)}, "at least one value per channel"),
        ({"weight": torch.zeros(3)}, r"weight must have shape \(2,\)"),
        ({"bias": torch.zeros(2, dtype=torch.float64)}, "bias must be one of float32"),
        ({"residual": torch.zeros(1, 2, 8, 7)}, "residual must have shape"),
    ],
)
def test_bad_input(arguments: dict, message: str) -> None:
    good = {"x": torch.zeros(1, 2, 8, 8), "weight": torch.ones(2), "bias": torch.zeros(2)}
    with pytest.raises(InputError, match=message):
        batchnorm(**{**good, **arguments})
