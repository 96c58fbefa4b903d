# SPDX-License-Identifier: Apache-2.0
"""The Mahalanobis distance against SciPy, its gradient, its memory and bad input."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis as scipy_mahalanobis
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dssm import backends
from dssm.errors import InputError
from dssm.ops import mahalanobis
from dssm.reference.mahalanobis import mahalanobis as reference

Close = Callable[..., None]
BACKENDS = backends.available("mahalanobis", "cpu")
each_backend = pytest.mark.parametrize("backend", BACKENDS)


def gaussian(shape: tuple[int, ...], channels: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Means, inverse Cholesky factors and inverse covariances for every position of `shape`, in float64."""
    factor = torch.randn(*shape, channels, channels, generator=generator, dtype=torch.float64)
    covariance = factor @ factor.mT + torch.eye(channels, dtype=torch.float64)
    whiten = torch.linalg.inv(torch.linalg.cholesky(covariance))
    return (
        torch.randn(*shape, channels, generator=generator, dtype=torch.float64),
        whiten,
        torch.linalg.inv(covariance),
    )


def scipy(points: Tensor, mean: Tensor, inverse: Tensor) -> Tensor:
    """(N, C) against one Gaussian."""
    return torch.tensor([scipy_mahalanobis(point, mean, inverse) for point in points.double()], dtype=torch.float64)


@each_backend
@pytest.mark.parametrize("channels", [1, 7, 33])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_points_equal_scipy(channels: int, dtype: torch.dtype, backend: str, generator: torch.Generator) -> None:
    mean, whiten, inverse = gaussian((), channels, generator)
    x = torch.randn(9, channels, generator=generator, dtype=dtype)
    actual = mahalanobis(x, mean.to(dtype), whiten.to(dtype), backend=backend)
    assert actual.dtype == dtype
    tolerance = 1e-10 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(actual.double(), scipy(x, mean, inverse), rtol=tolerance, atol=tolerance)


@each_backend
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("size", [(3, 4, 5, 2), (1, 1, 1, 1), (2, 17, 3, 7)])
def test_maps_equal_scipy(
    size: tuple[int, ...], shared: bool, layout: Callable, backend: str, generator: torch.Generator
) -> None:
    batch, channels, height, width = size
    mean, whiten, inverse = gaussian(() if shared else (height, width), channels, generator)
    x = layout(torch.randn(size, generator=generator, dtype=torch.float64))
    actual = mahalanobis(x, mean, whiten, backend=backend)
    assert actual.shape == (batch, height, width)
    for y in range(height):
        for column in range(width):
            at = () if shared else (y, column)
            expected = scipy(x[:, :, y, column], mean[at], inverse[at])
            torch.testing.assert_close(actual[:, y, column], expected, rtol=1e-9, atol=1e-9)


@each_backend
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_computes_in_float32(
    dtype: torch.dtype, backend: str, generator: torch.Generator, close: Close
) -> None:
    mean, whiten, _ = gaussian((3, 2), 5, generator)
    x = torch.randn(4, 5, 3, 2, generator=generator).to(dtype)
    with torch.autocast("cpu", torch.bfloat16):
        actual = mahalanobis(x, mean, whiten, backend=backend)
    assert actual.dtype == torch.float32
    close(actual, mahalanobis(x.double(), mean, whiten, backend="reference"))


@pytest.mark.skipif("cpu" not in BACKENDS, reason="the C++ kernels are not built")
@pytest.mark.parametrize("batch", [0, 1, 5, 16, 35])
@pytest.mark.parametrize("channels", [1, 7, 16, 100])
def test_prepared_triangles_give_the_same(batch: int, channels: int, generator: torch.Generator, close: Close) -> None:
    kernels = backends.load("mahalanobis", "cpu")
    mean, whiten, _ = (tensor.float() for tensor in gaussian((5, 4), channels, generator))
    triangles = kernels.prepare(whiten.tril())
    for layout in (torch.contiguous_format, torch.channels_last):
        x = torch.randn(batch, channels, 5, 4, generator=generator).to(memory_format=layout)
        close(kernels.prepared(x, mean, triangles), reference(x, mean, whiten.tril()))
        half = x.bfloat16()
        close(kernels.prepared(half, mean, triangles), reference(half, mean, whiten.tril()))
    if batch and channels > 1:
        x[0, channels // 2, 1, 2] = torch.nan
        found = kernels.prepared(x, mean, triangles)
        assert found[0, 1, 2].isnan()
        assert found.isnan().sum() == 1


@pytest.mark.skipif("cpu" not in BACKENDS, reason="the C++ kernels are not built")
def test_only_lower_triangles_are_prepared(generator: torch.Generator) -> None:
    prepare = backends.load("mahalanobis", "cpu").prepare
    whiten = torch.randn(2, 3, 4, 4, generator=generator).tril()
    assert prepare(whiten) is not None
    assert prepare(whiten.mT) is None
    assert prepare(whiten[..., :3, :]) is None
    assert prepare(whiten.double()) is None


@each_backend
def test_rows_of_the_whitening_project(backend: str, generator: torch.Generator) -> None:
    mean, whiten, _ = gaussian((), 6, generator)
    x = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    expected = ((x - mean) @ whiten[:2].T).norm(dim=1)
    torch.testing.assert_close(mahalanobis(x, mean, whiten[:2], backend=backend), expected)


@each_backend
def test_empty_batches(backend: str) -> None:
    mean, whiten = torch.zeros(3, 2, 4), torch.zeros(3, 2, 4, 4)
    assert mahalanobis(torch.zeros(0, 4), mean[0, 0], whiten[0, 0], backend=backend).shape == (0,)
    assert mahalanobis(torch.zeros(0, 4, 3, 2), mean, whiten, backend=backend).shape == (0, 3, 2)
    assert mahalanobis(torch.zeros(0, 4, 3, 2), mean[0, 0], whiten[0, 0], backend=backend).shape == (0, 3, 2)


@each_backend
def test_gradcheck(backend: str, generator: torch.Generator) -> None:
    for shape, size in (((), (3, 4)), ((), (2, 4, 2, 3)), ((2, 3), (2, 4, 2, 3))):
        mean, whiten, _ = gaussian(shape, 4, generator)
        x = torch.randn(size, generator=generator, dtype=torch.float64).requires_grad_()

        def function(x: Tensor, mean: Tensor = mean, whiten: Tensor = whiten) -> Tensor:
            return mahalanobis(x, mean, whiten, backend=backend)

        torch.autograd.gradcheck(function, x, fast_mode=backend == "triton")  # interpreted, a launch takes 10 ms


@each_backend
def test_gradient_is_zero_at_the_mean(backend: str, generator: torch.Generator) -> None:
    mean, whiten, _ = gaussian((), 4, generator)
    x = mean.repeat(2, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(mahalanobis(x, mean, whiten, backend=backend).sum(), x)
    assert torch.equal(gradient, torch.zeros(2, 4, dtype=torch.float64))


def gradient(x: Tensor, mean: Tensor, whiten: Tensor, weight: Tensor, backend: str) -> Tensor:
    """Of the weighted sum of distances."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad((mahalanobis(x, mean, whiten, backend=backend) * weight).sum(), x)[0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("size", "shared", "backend"),
    [
        (size, shared, backend)
        for size in [(2, 5, 3, 7), (19, 13, 1, 9), (1, 20, 9, 17), (70, 3, 2, 1)]
        for shared in (True, False)
        for backend in BACKENDS
        if backend != "triton" or shared or size[2] * size[3] < 20  # interpreted, each position takes 10 ms
    ],
)
def test_layouts_and_types_agree_with_the_reference(
    size: tuple[int, ...],
    shared: bool,
    backend: str,
    dtype: torch.dtype,
    layout: Callable,
    generator: torch.Generator,
    close: Close,
) -> None:
    """Forward and backward, on strided means and whitenings too."""
    batch, channels, height, width = size
    mean, whiten, _ = gaussian(() if shared else (height, width), channels, generator)
    x = layout(torch.randn(size, generator=generator).to(dtype))
    weight = torch.randn(batch, height, width, generator=generator)
    compute = torch.float64 if dtype == torch.float64 else torch.float32
    expected = mahalanobis(x.double(), mean, whiten, backend="reference")
    expected_gradient = gradient(x.double(), mean, whiten, weight.double(), "reference")
    for w in (whiten.to(compute), whiten.to(compute).mT.contiguous().mT):
        close(mahalanobis(x, mean.to(compute), w, backend=backend), expected, compute)
        close(gradient(x, mean, w, weight.to(compute), backend), expected_gradient, dtype)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Points or maps with some values that are not finite, and whitenings of any shape with zeros anywhere."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    size = [draw(st.integers(low, high)) for low, high in ((0, 21), (1, 19), (1, 5), (1, 19))]
    shape = size if draw(st.booleans()) else size[:2]
    positions = size[2:] if len(shape) == 4 and draw(st.booleans()) else []
    x = torch.randn(shape, generator=generator, dtype=draw(st.sampled_from([torch.float32, torch.float64])))
    for value in draw(st.lists(st.sampled_from([torch.inf, -torch.inf, torch.nan]), max_size=3)):
        if x.numel():
            x.view(-1)[draw(st.integers(0, x.numel() - 1))] = value
    if len(shape) == 4 and draw(st.booleans()):
        x = x.to(memory_format=torch.channels_last)
    whiten = torch.randn(*positions, draw(st.integers(0, 20)), size[1], generator=generator, dtype=x.dtype)
    if draw(st.booleans()):
        whiten = whiten.tril(draw(st.integers(-3, 3)))
    if draw(st.booleans()):
        whiten = whiten * (torch.rand(whiten.shape, generator=generator) < 0.3)
    mean = torch.randn(*positions, size[1], generator=generator, dtype=x.dtype)
    return x, mean, whiten, torch.randn(size[0], *shape[2:], generator=generator, dtype=x.dtype)


@pytest.mark.skipif("cpu" not in BACKENDS, reason="the extension is not built")
@given(problems())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_kernel_equals_the_reference_on_anything(problem: tuple[Tensor, Tensor, Tensor, Tensor]) -> None:
    x, mean, whiten, weight = problem
    tolerance = {"rtol": 1e-10, "atol": 1e-10} if x.dtype == torch.float64 else {"rtol": 1e-4, "atol": 1e-4}
    found, expected = (mahalanobis(x, mean, whiten, backend=backend) for backend in ("cpu", "reference"))
    torch.testing.assert_close(found, expected, equal_nan=True, **tolerance)
    # The gradient at a distance that is not finite means nothing: inf / inf times the zeros of whiten.
    defined = expected.isfinite().unsqueeze(1).expand(x.shape)
    found, expected = (gradient(x, mean, whiten, weight, backend) for backend in ("cpu", "reference"))
    torch.testing.assert_close(found[defined], expected[defined], **tolerance)


class LargestResult(TorchDispatchMode):
    """Remembers the most elements that any operation allocated."""

    elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.elements = max(self.elements, result.untyped_storage().nbytes() // result.element_size())
        return result


def test_one_gaussian_per_position_allocates_no_more_than_its_inputs() -> None:
    x, mean, whiten = torch.zeros(8, 20, 16, 16), torch.zeros(16, 16, 20), torch.zeros(16, 16, 20, 20)
    with LargestResult() as largest:
        reference(x, mean, whiten)
    assert 0 < largest.elements <= whiten.numel()


@each_backend
def test_registration(backend: str, generator: torch.Generator, close: Close) -> None:
    for shape, size in (((), (3, 4)), ((2, 3), (2, 4, 2, 3))):
        mean, whiten, _ = (tensor.float() for tensor in gaussian(shape, 4, generator))
        x = torch.randn(size, generator=generator).requires_grad_()
        torch.library.opcheck(torch.ops.dssm.mahalanobis.default, (x, mean, whiten, backend))
        compiled = torch.compile(lambda *a: mahalanobis(*a, backend=backend), fullgraph=True, backend="aot_eager")
        close(compiled(x, mean, whiten), mahalanobis(x, mean, whiten, backend=backend))


@pytest.mark.parametrize(
    ("x", "mean", "whiten", "message"),
    [
        ((4, 3, 2), (3,), (3, 3), "x must have 2 or 4 dimensions"),
        ((4, 3), (2, 2, 3), (2, 2, 3, 3), "mean must have 1 dimensions"),
        ((4, 3), (5,), (3, 3), r"mean must have shape \(3,\) to fit x"),
        ((4, 3), (3,), (3, 5), r"whiten must have shape \(3, 3\) to fit x"),
        ((4, 3), (3,), (3,), "whiten must have 2 dimensions"),
        ((2, 3, 4, 5), (5, 4, 3), (5, 4, 3, 3), r"mean must have shape \(4, 5, 3\) to fit x"),
        ((2, 3, 4, 5), (4, 5, 3), (3, 3), "whiten must have 4 dimensions"),
    ],
)
def test_bad_input(x: tuple, mean: tuple, whiten: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        mahalanobis(torch.zeros(x), torch.zeros(mean), torch.zeros(whiten))
