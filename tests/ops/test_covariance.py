# SPDX-License-Identifier: Apache-2.0
"""Streaming means and scatters against NumPy, across backends, in pieces, and bad input."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from dssm import backends
from dssm.errors import InputError
from dssm.ops import covariance

BACKENDS = backends.available("covariance", "cpu")
each_backend = pytest.mark.parametrize("backend", BACKENDS)
TYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def numpy(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and the lower triangle of the scatter of (N, C)."""
    values = x.double().numpy()
    scatter = np.atleast_2d(np.cov(values.T, ddof=0)) * len(values)
    return torch.from_numpy(values.mean(0)), torch.from_numpy(np.tril(scatter))


def close(found: tuple[Tensor, Tensor], expected: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(found[0], expected[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[1].tril(), expected[1].tril(), rtol=1e-11, atol=1e-10)


@each_backend
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (130, 53), (65, 8), (64, 100)])
def test_vectors_equal_numpy(
    size: tuple[int, int], dtype: torch.dtype, backend: str, generator: torch.Generator
) -> None:
    x = (torch.randn(size, generator=generator) + 3).to(dtype)
    for layout in (x, x.T.contiguous().T, x.repeat_interleave(2, 1)[:, ::2]):
        found = covariance(layout, backend=backend)
        assert found[0].dtype == found[1].dtype == torch.float64
        close(found, numpy(x))


@pytest.mark.parametrize(
    ("size", "backend"),
    [
        (size, backend)
        for size in [(1, 1, 1, 1), (5, 3, 4, 2), (70, 9, 1, 3), (3, 17, 5, 27)]
        for backend in BACKENDS
        if backend != "triton" or size[2] * size[3] < 10  # interpreted, each position takes 10 ms
    ],
)
@pytest.mark.parametrize("dtype", TYPES)
def test_positions_equal_numpy(
    size: tuple[int, ...], backend: str, dtype: torch.dtype, layout: Callable, generator: torch.Generator
) -> None:
    x = layout(torch.randn(size, generator=generator).to(dtype))
    mean, scatter = covariance(x, backend=backend)
    for y in range(size[2]):
        for column in range(size[3]):
            close((mean[y, column], scatter[y, column]), numpy(x[:, :, y, column]))


@each_backend
@pytest.mark.parametrize("size", [(40, 11), (40, 5, 2, 3)])
def test_pieces_are_added_in_place(size: tuple[int, ...], backend: str, generator: torch.Generator) -> None:
    x = torch.randn(size, generator=generator)
    mean, scatter = covariance(x[:1], backend=backend)
    for start, stop in ((1, 1), (1, 4), (4, 40)):
        assert covariance(x[start:stop], mean, scatter, start, backend=backend) == (mean, scatter)
    close((mean, scatter), covariance(x, backend=backend))


@each_backend
def test_far_from_zero_nothing_is_lost(backend: str, generator: torch.Generator) -> None:
    x = torch.randn(200, 6, generator=generator, dtype=torch.float64)
    mean, scatter = covariance(x[:77] + 1e9, backend=backend)
    covariance(x[77:] + 1e9, mean, scatter, 77, backend=backend)
    torch.testing.assert_close(scatter.tril(), numpy(x)[1], rtol=1e-6, atol=1e-4)


@each_backend
def test_what_is_not_finite_stays_in_its_position(backend: str, generator: torch.Generator) -> None:
    x = torch.randn(6, 5, 2, 2, generator=generator)
    expected = covariance(x, backend=backend)
    x[2, 3, 0, 1] = torch.inf
    mean, scatter = covariance(x, backend=backend)
    assert mean[0, 1, 3].isinf()
    assert scatter[0, 1, 3, :4].isnan().all()
    for row, column in ((0, 0), (1, 0), (1, 1)):
        assert torch.equal(mean[row, column], expected[0][row, column])
        assert torch.equal(scatter[row, column].tril(), expected[1][row, column].tril())


@each_backend
def test_empty_batches(backend: str) -> None:
    for size in ((0, 4), (0, 4, 3, 2), (5, 4, 0, 2)):
        mean, scatter = covariance(torch.zeros(size), backend=backend)
        assert scatter.shape == (*size[2:], 4, 4)
        assert not mean.any()
        assert not scatter.tril().any()


@pytest.mark.skipif("cpu" not in BACKENDS, reason="the extension is not built")
@given(
    size=st.tuples(st.integers(0, 70), st.integers(1, 60), st.integers(1, 3), st.integers(1, 70)),
    dtype=st.sampled_from(TYPES),
    last=st.booleans(),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=25, deadline=None)
def test_kernel_equals_the_reference(size: tuple[int, ...], dtype: torch.dtype, last: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(size, generator=generator).to(dtype)
    x = x.to(memory_format=torch.channels_last) if last else x
    state = covariance(x[:1], backend="reference")
    copies = [tensor.clone() for tensor in state]
    covariance(x[1:], *state, len(x[:1]), backend="reference")
    covariance(x[1:], *copies, len(x[:1]), backend="cpu")
    close((copies[0], copies[1]), state)


@each_backend
def test_registration(backend: str, generator: torch.Generator) -> None:
    for size in ((5, 3), (5, 3, 2, 4)):
        x = torch.randn(size, generator=generator)
        mean, scatter = covariance(x)
        torch.library.opcheck(torch.ops.dssm.covariance.default, (x, mean, scatter, 5, backend))
        compiled = torch.compile(covariance, fullgraph=True, backend="aot_eager")
        close(compiled(x, mean.clone(), scatter.clone(), 5), covariance(x, mean, scatter, 5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.zeros(3),), "x must have 2 or 4 dimensions"),
        ((torch.zeros(3, 2, dtype=torch.int64),), "x must be one of float32"),
        ((torch.zeros(3, 2), torch.zeros(2).double()), "mean and scatter belong together"),
        ((torch.zeros(3, 2), None, None, 4), "count must be the number of vectors"),
        ((torch.zeros(3, 2), torch.zeros(2).double(), torch.zeros(2, 2).double(), -1), "count must be the number"),
        ((torch.zeros(3, 2), torch.zeros(2), torch.zeros(2, 2).double()), "mean must be one of float64"),
        ((torch.zeros(3, 2), torch.zeros(3).double(), torch.zeros(2, 2).double()), r"mean must have shape \(2,\)"),
        ((torch.zeros(3, 2), torch.zeros(2).double(), torch.zeros(2, 4).double()[:, ::2]), "scatter must be contig"),
    ],
)
def test_bad_input(arguments: tuple, message: str) -> None:
    with pytest.raises(InputError, match=message):
        covariance(*arguments)
