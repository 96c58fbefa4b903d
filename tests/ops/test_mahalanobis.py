# SPDX-License-Identifier: Apache-2.0
"""The Mahalanobis distance against SciPy, its gradient, its memory and bad input."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch
from scipy.spatial.distance import mahalanobis as scipy_mahalanobis
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from dssm import backends
from dssm.errors import InputError
from dssm.ops import mahalanobis
from dssm.reference.mahalanobis import mahalanobis as reference

Close = Callable[..., None]
BACKENDS = [name for name in ("reference", "cpu") if isinstance(backends.load("mahalanobis", name), ModuleType)]
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
        torch.autograd.gradcheck(lambda x, m=mean, w=whiten: mahalanobis(x, m, w, backend=backend), x)


@each_backend
def test_gradient_is_zero_at_the_mean(backend: str, generator: torch.Generator) -> None:
    mean, whiten, _ = gaussian((), 4, generator)
    x = mean.repeat(2, 1).requires_grad_()
    (gradient,) = torch.autograd.grad(mahalanobis(x, mean, whiten, backend=backend).sum(), x)
    assert torch.equal(gradient, torch.zeros(2, 4, dtype=torch.float64))


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
