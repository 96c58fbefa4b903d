# SPDX-License-Identifier: Apache-2.0
"""What tests of ops share: one table of tolerances, and the memory layouts that every op must take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
import torch
from torch import Tensor

from dssm import backends
from dssm.cli.bench import module

# Agreement of two backends, or with an oracle, that computed in this dtype: (relative, absolute).
TOLERANCE = {
    torch.float64: (1e-12, 1e-12),
    torch.float32: (1e-5, 5e-6),
    torch.bfloat16: (1.6e-2, 1e-2),
    torch.float16: (2e-3, 1e-3),
}


def _sliced(x: Tensor) -> Tensor:
    """Every second element of a larger tensor along the last two axes, from the second on."""
    larger = x.new_zeros((*x.shape[:-2], 2 * x.shape[-2] + 1, 2 * x.shape[-1] + 1))
    view = larger[..., 1::2, 1::2]
    return view.copy_(x)


LAYOUTS = {
    "contiguous": torch.Tensor.contiguous,
    "channels_last": lambda x: x.movedim(-3, -1).contiguous().movedim(-1, -3),
    "transposed": lambda x: x.mT.contiguous().mT,
    "sliced": _sliced,
    "expanded": lambda x: x[:1].expand(x.shape),  # stride 0: all samples are the first
}


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    """The tensors here are small: more threads only wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="package", autouse=True)
def _interpreter(request: pytest.FixtureRequest) -> Iterator[None]:
    """Triton's interpreter computes as a GPU does, and under guard if asked for."""
    with ExitStack() as stack:
        if backends.INTERPRETED:
            stack.enter_context(module("interpreter").faithful())
            if request.config.getoption("--guard"):
                stack.enter_context(module("guard").Guard().watching())
        yield


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS.keys())
def layout(request: pytest.FixtureRequest) -> Callable[[Tensor], Tensor]:
    """A function that returns a (B, ..., H, W) tensor in another memory layout."""
    return request.param


@pytest.fixture
def close() -> Callable[..., None]:
    """Assert that tensors agree to within the tolerance of `dtype`, by default that of the first."""

    def check(actual: Tensor, expected: Tensor, dtype: torch.dtype | None = None) -> None:
        rtol, atol = TOLERANCE[dtype or actual.dtype]
        torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol, check_dtype=False)

    return check


@pytest.fixture
def generator() -> torch.Generator:
    """The same random numbers in every run."""
    return torch.Generator().manual_seed(0)
