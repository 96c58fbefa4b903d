# SPDX-License-Identifier: Apache-2.0
"""Calls of every op that has GPU kernels, as small as takes all of them through their masks and loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from dssm import ops

Call = tuple[tuple, dict[str, Any]]  # positional arguments and options


def run(op: str, call: Call, backend: str) -> list[Tensor]:
    """The results of a call, then the gradients of its floating-point arguments where the first result has them."""
    arguments, options = tree_map(lambda x: x.detach().requires_grad_() if _is_real(x) else x, call)
    found = getattr(ops, op)(*arguments, **options, backend=backend)
    results = list(found) if isinstance(found, tuple) else [found]
    grads: tuple = ()
    if results[0].requires_grad:
        leaves = [x for x in tree_leaves((arguments, options)) if _is_real(x)]
        grad = values(*results[0].shape, dtype=results[0].dtype, seed=9)
        grads = torch.autograd.grad(results[0], leaves, grad, allow_unused=True)
    return [x.detach() for x in (*results, *grads) if x is not None]


def values(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Uniform in [-1, 1), of uint8 in [0, 256)."""
    uniform = torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (uniform * 256 if dtype == torch.uint8 else uniform * 2 - 1).to(dtype)


def transposed(x: Tensor) -> Tensor:
    """The same values, columns before rows in memory."""
    return x.mT.contiguous().mT


def channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _is_real(x: object) -> bool:
    return isinstance(x, Tensor) and x.is_floating_point()


def augment() -> Iterator[Call]:
    yield (values(6, 3, 9, 37, dtype=torch.uint8), torch.arange(6)), {"seed": 1}


def blend() -> Iterator[Call]:
    for dtype, layout in (
        (torch.float32, Tensor.contiguous),
        (torch.uint8, transposed),
        (torch.bfloat16, channels_last),
        (torch.float64, Tensor.contiguous),
    ):
        image, source = (layout(values(2, 3, 17, 67, dtype=dtype, seed=seed)) for seed in (0, 1))
        yield (image, source, values(2, 17, 67, seed=2) > 0, values(2, seed=3).abs()), {}


def component() -> Iterator[Call]:
    for connectivity in (8, 4):
        yield (values(2, 13, 70) > 0,), {"connectivity": connectivity}


def covariance() -> Iterator[Call]:
    yield (values(19, 21),), {}
    yield (values(5, 18, 2, 3, dtype=torch.bfloat16),), {}


def hog() -> Iterator[Call]:
    yield (values(2, 3, 24, 35, dtype=torch.uint8),), {}
    yield (channels_last(values(1, 3, 24, 35)),), {}
    yield (values(1, 3, 24, 32),), {"mode": "opencv"}
    yield (values(1, 3, 21, 50, dtype=torch.uint8),), {"size": (24, 32)}


def mahalanobis() -> Iterator[Call]:
    yield (values(5, 20), values(20, seed=1), values(20, 20, seed=2).tril()), {}
    maps = values(2, 18, 2, 3, dtype=torch.float16)
    yield (maps, values(2, 3, 18, seed=1), values(2, 3, 18, 18, seed=2).tril()), {}


def mscm() -> Iterator[Call]:
    attention = tuple(values(*size, seed=4) for size in ((2, 16), (2,), (16, 2), (16,)))
    yield (values(2, 16, 5, 7), values(4, 16, 16, 1, 1, seed=1), values(16, seed=2)), {"attention": attention}
    maps, weight = channels_last(values(1, 24, 4, 5, dtype=torch.bfloat16)), values(4, 8, 24, 1, 1, seed=1)
    yield (maps, weight.bfloat16()), {"activation": "relu", "dilation": 1}


def paste() -> Iterator[Call]:
    for dtype, options in (
        (torch.uint8, {"area": (0.02, 0.2), "connectivity": 4}),
        (torch.float32, {"kind": torch.tensor([2, 0, 1])}),
    ):
        image, source = (values(3, 3, 33, 39, dtype=dtype, seed=seed) for seed in (0, 1))
        yield (image, source, torch.arange(3)), {"seed": 1, **options}


def region() -> Iterator[Call]:
    yield (values(2, 13, 70) > 0,), {}


def perlin() -> Iterator[Call]:
    for rotate in (True, False):
        yield (torch.tensor([5, 2]), (33, 47)), {"seed": 1, "rotate": rotate}


CASES: dict[str, Callable[[], Iterator[Call]]] = {
    cases.__name__: cases
    for cases in (augment, blend, component, covariance, hog, mahalanobis, mscm, paste, perlin, region)
}
