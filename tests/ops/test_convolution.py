# SPDX-License-Identifier: Apache-2.0
"""The 3x3 convolution against torch's in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dssm import backends
from dssm.errors import InputError
from dssm.ops import convolution

BACKENDS = backends.available("convolution", "cpu")
each_backend = pytest.mark.parametrize("backend", BACKENDS)

# The maps of 32 channels and more go to the kernel, whatever the level of instructions; the others go to torch.
SIZES = [(3, 32, 13, 14), (2, 64, 16, 17), (33, 32, 3, 4), (5, 32, 9, 31), (40, 32, 2, 2), (4, 5, 11, 7), (1, 1, 1, 1)]


def case(size: tuple[int, ...], out: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.randn(size, generator=generator).to(memory_format=torch.channels_last)
    return x, torch.randn(out, size[1], 3, 3, generator=generator) / (9 * size[1]) ** 0.5


def assert_within_bound(actual: Tensor, expected: Tensor, absolute: Tensor) -> None:
    """The error is a small part of the sum of absolute products, as the docstring promises."""
    assert actual.shape == expected.shape
    assert ((actual.double() - expected).abs() <= 4e-6 * absolute + 1e-30).all()


@each_backend
@pytest.mark.parametrize("size", SIZES)
def test_equals_torch(size: tuple[int, ...], backend: str, generator: torch.Generator) -> None:
    x, weight = case(size, 96 if size[1] >= 32 else 3, generator)
    expected = F.conv2d(x.double(), weight.double(), padding=1)
    absolute = F.conv2d(x.double().abs(), weight.double().abs(), padding=1)
    assert_within_bound(convolution(x, weight, backend=backend), expected, absolute)


@each_backend
@pytest.mark.parametrize("size", SIZES)
def test_gradients(size: tuple[int, ...], backend: str, generator: torch.Generator) -> None:
    x, weight = (tensor.requires_grad_() for tensor in case(size, 64 if size[1] >= 32 else 3, generator))
    grad = torch.randn(size[0], weight.shape[0], *size[2:], generator=generator)
    actual = torch.autograd.grad(convolution(x, weight, backend=backend), (x, weight), grad)

    def exact(*tensors: Tensor) -> tuple[Tensor, ...]:
        g, *leaves = (tensor.detach().double() for tensor in tensors)
        leaves = [leaf.requires_grad_() for leaf in leaves]
        return torch.autograd.grad(F.conv2d(*leaves, padding=1), leaves, g)

    magnitudes = exact(grad.abs(), x.abs(), weight.abs())
    for result, expected, absolute in zip(actual, exact(grad, x, weight), magnitudes, strict=True):
        assert_within_bound(result, expected, absolute)


@each_backend
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_layouts_and_dtypes(
    dtype: torch.dtype, layout: Callable, backend: str, generator: torch.Generator, close: Callable
) -> None:
    x, weight = (layout(tensor.to(dtype)) for tensor in case((4, 32, 12, 13), 32, generator))
    actual = convolution(x, weight, backend=backend)
    expected = F.conv2d(x.double(), weight.double(), padding=1)
    assert actual.dtype == dtype
    if dtype == torch.float32:
        assert_within_bound(actual, expected, F.conv2d(x.double().abs(), weight.double().abs(), padding=1))
    else:
        close(actual, expected)


@each_backend
def test_empty_batch(backend: str) -> None:
    x = torch.empty(0, 32, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.ones(32, 32, 3, 3, requires_grad=True)
    result = convolution(x, weight, backend=backend)
    assert result.shape == (0, 32, 8, 8)
    result.sum().backward()
    assert not weight.grad.any()


@each_backend
def test_threads_change_nothing(backend: str, generator: torch.Generator) -> None:
    """Whatever the number of tiles that a thread gets, a sum is added in one order."""
    x, weight = (tensor.requires_grad_() for tensor in case((16, 32, 24, 24), 64, generator))
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        y = convolution(x, weight, backend=backend)
        results.append((y, *torch.autograd.grad(y.square().sum(), (x, weight))))
    torch.set_num_threads(1)
    if backend == "cpu":  # torch's own convolution promises no such thing
        assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@each_backend
def test_a_nan_stays_within_its_tiles(backend: str, generator: torch.Generator) -> None:
    x, weight = case((2, 32, 24, 24), 32, generator)
    x[0, 3, 10, 10] = torch.nan
    actual = convolution(x, weight, backend=backend)
    assert actual[0, :, 9:12, 9:12].isnan().all()
    actual[0, :, 8:12, 8:12] = 0
    assert actual.isfinite().all()


@each_backend
def test_autocast_casts_the_inputs(backend: str, generator: torch.Generator) -> None:
    x, weight = case((4, 32, 8, 8), 32, generator)
    with torch.autocast("cpu", torch.bfloat16):
        actual = convolution(x, weight, backend=backend)
    assert torch.equal(actual, convolution(x.bfloat16(), weight.bfloat16(), backend=backend))


@each_backend
def test_registration(backend: str, generator: torch.Generator) -> None:
    for size in SIZES[:2]:
        x, weight = case(size, 32, generator)
        for inputs in ((x, weight), (x.contiguous(), weight.to(memory_format=torch.channels_last))):
            leaves = [tensor.detach().requires_grad_() for tensor in inputs]
            torch.library.opcheck(torch.ops.dssm.convolution.default, (*leaves, backend))
            grad = torch.ones_like(convolution(*inputs, backend=backend))
            torch.library.opcheck(torch.ops.dssm.convolution_backward.default, (grad, *inputs, backend))


def test_float64_gradcheck(generator: torch.Generator) -> None:
    x, weight = (tensor.double().requires_grad_() for tensor in case((1, 2, 3, 4), 2, generator))
    torch.autograd.gradcheck(lambda *a: convolution(*a, backend="reference"), (x, weight))


@pytest.mark.parametrize(
    ("x", "weight", "message"),
    [
        (torch.zeros(2, 8, 8), torch.zeros(1, 2, 3, 3), "x must have 4 dimensions"),
        (torch.zeros(1, 2, 8, 8), torch.zeros(4, 2, 5, 5), r"weight must have shape \(Cout, 2, 3, 3\)"),
        (torch.zeros(1, 2, 8, 8), torch.zeros(4, 3, 3, 3), r"weight must have shape \(Cout, 2, 3, 3\)"),
        (torch.zeros(1, 2, 8, 8), torch.zeros(4, 2, 3, 3, dtype=torch.float64), "one dtype"),
    ],
)
def test_bad_input(x: Tensor, weight: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        convolution(x, weight)
