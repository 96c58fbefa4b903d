# SPDX-License-Identifier: Apache-2.0
"""Every op on whatever hypothesis thinks of: the kernel on odd memory layouts beside the reference on tidy copies."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from dssm import backends, ops

HALVES = (torch.bfloat16, torch.float16)
FLOATS = (torch.float32, torch.float64, *HALVES)
PIXELS = (torch.uint8, *FLOATS)
ODD = (math.inf, -math.inf, math.nan, -0.0, 1e-45, 6e-8)  # two subnormals, of float32 and of float16
EXAMPLES = {"histogram": 10}  # its results are large; 100 for others


@dataclass
class Problem:
    """Arguments of an op, and how far two backends may lie apart."""

    arguments: tuple
    options: dict[str, Any] = field(default_factory=dict)
    rtol: float = 0.0
    atol: float = 0.0


class Draw:
    """What problems are made of."""

    def __init__(self, data: st.DataObject) -> None:
        self._draw = data.draw
        self.generator = torch.Generator().manual_seed(self.integer(0, 2**31))

    def integer(self, least: int, most: int) -> int:
        return self._draw(st.integers(least, most))

    def one(self, *choices: Any) -> Any:
        return self._draw(st.sampled_from(choices))

    def images(self, channels: int = 5) -> tuple[int, int, int, int]:
        """(B, C, H, W), possibly no image."""
        return self.one(2, 1, 3, 0), self.integer(1, channels), self.integer(1, 40), self.integer(1, 40)

    def seed(self) -> int:
        return self.integer(0, 2**63 - 1)

    def indices(self, count: int) -> Tensor:
        return self.scattered(torch.randint(0, 2**62, (count,), generator=self.generator))

    def mask(self, shape: tuple[int, ...]) -> Tensor:
        share = self.one(0.0, 0.1, 0.4, 0.6, 1.0)
        return self.scattered(torch.rand(shape, generator=self.generator) < share)

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype, scale: float = 1.0, odd: bool = False) -> Tensor:
        """Bytes, or floats within `scale`, many of them equal; some are not finite or subnormal if `odd`."""
        if dtype == torch.uint8:
            low, high = self.one((0, 256), (100, 103), (0, 2))
            return self.scattered(torch.randint(low, high, shape, generator=self.generator).to(dtype))
        values = torch.rand(shape, generator=self.generator, dtype=torch.float64) * 2 - 1
        if self.one(True, False):
            values = (values * 8).round() / 8
        values *= scale
        if odd and self.one(True, False):
            chosen = torch.rand(shape, generator=self.generator) < 0.05
            values[chosen] = self.one(*ODD)
        return self.scattered(values.to(dtype))

    def scattered(self, values: Tensor) -> Tensor:
        """The values somewhere in a larger tensor with axes in any order; at times an axis of one value, stride 0."""
        axes = range(values.ndim)
        order = self._draw(st.permutations(axes))
        steps = [self.one(1, 1, 2, 3) for _ in axes]
        starts = [self.integer(0, 2) for _ in axes]
        sizes = [starts[axis] + steps[axis] * values.shape[axis] for axis in axes]
        memory = torch.empty([sizes[axis] for axis in order], dtype=values.dtype)
        memory.view(torch.uint8).fill_(1 if values.dtype == torch.bool else 0x7F)  # a NaN, or a large number
        view = memory.permute([order.index(axis) for axis in axes])
        for axis in axes:
            view = view.narrow(axis, starts[axis], sizes[axis] - starts[axis])
            view = view[(slice(None),) * axis + (slice(None, None, steps[axis]),)]
        view.copy_(values)
        axis = self.one(*[None] * 4, *axes)
        if axis is not None and values.shape[axis] > 1:
            view = view.narrow(axis, 0, 1).expand(values.shape)
        return view


def augment(draw: Draw) -> Problem:
    batch, _, height, width = draw.images()
    image = draw.tensor((batch, draw.one(1, 3), height, width), torch.uint8)
    return Problem((image, draw.indices(batch)), {"seed": draw.seed(), "count": draw.integer(0, 6)})


def batchnorm(draw: Draw) -> Problem:
    batch, channels, height, width = draw.images(channels=40)
    shape, dtype = (batch + 1, channels, height + 1, width), draw.one(*FLOATS)
    x, residual = draw.tensor(shape, dtype), draw.one(None, draw.tensor(shape, dtype))
    statistics = torch.float64 if dtype == torch.float64 else torch.float32
    weight, bias = (draw.tensor((channels,), statistics) for _ in range(2))
    # A channel of one value has a variance of rounding errors, which eps must drown.
    options = {"eps": draw.one(1e-3, 0.1), "relu": draw.one(True, False)}
    return Problem((x, weight, bias, residual), options, *tolerance(dtype, 4))


def blend(draw: Draw) -> Problem:
    shape, dtype = draw.images(), draw.one(*PIXELS)
    image, source = (draw.tensor(shape, dtype, 250, odd=True) for _ in range(2))
    alpha = torch.rand(shape[0], generator=draw.generator, dtype=draw.one(torch.float32, torch.float64))
    mask = draw.mask((shape[0], *shape[2:]))
    return Problem((image, source, mask, draw.scattered(alpha)), {}, *tolerance(dtype, 250))


def component(draw: Draw) -> Problem:
    batch, _, height, width = draw.images()
    return Problem((draw.mask((batch, height, 4 * width)),), {"connectivity": draw.one(4, 8)})


def convolution(draw: Draw) -> Problem:
    batch, _, height, width = draw.images()
    channels, out = draw.one(1, 3, 16, 32), draw.one(1, 3, 16, 32)
    dtype = draw.one(torch.float32, *FLOATS)
    x, weight = draw.tensor((batch, channels, height, width), dtype), draw.tensor((out, channels, 3, 3), dtype)
    if draw.one(True, False):
        x, weight = x.contiguous(memory_format=torch.channels_last), weight.contiguous()
    return Problem((x, weight), {}, *tolerance(dtype, 9 * channels))


def hog(draw: Draw) -> Problem:
    batch, channels, height, width = draw.images()
    cell = draw.one((8, 8), (draw.integer(1, 9), draw.integer(1, 9)))
    block = draw.one((2, 2), (draw.integer(1, 3), draw.integer(1, 3)))
    shape = batch, channels, max(height, cell[0] * block[0]), max(width, cell[1] * block[1])
    image = draw.tensor(shape, draw.one(*PIXELS), 250)
    mode, norm = draw.one(("opencv", "L2-Hys"), *(("skimage", norm) for norm in ("L1", "L1-sqrt", "L2", "L2-Hys")))
    options = {"orientations": draw.one(9, draw.integer(1, 20)), "cell": cell, "block": block, "mode": mode}
    return Problem((image,), {**options, "norm": norm}, 1e-4, 2e-5)


def mahalanobis(draw: Draw) -> Problem:
    batch, channels, height, width = draw.images(channels=20)
    rows, dtype = draw.one(channels, draw.integer(1, 20)), draw.one(*FLOATS)
    form = draw.one("points", "maps", "positions")
    shape = (batch * height, channels) if form == "points" else (batch, channels, height, width)
    place = (height, width) if form == "positions" else ()
    x, other = draw.tensor(shape, dtype, odd=True), draw.one(*FLOATS)
    mean, whiten = draw.tensor((*place, channels), other), draw.tensor((*place, rows, channels), other)
    if draw.one(True, False):
        whiten = whiten.tril()
    return Problem((x, mean, whiten), {}, *tolerance(torch.float64 if dtype == torch.float64 else torch.float32, 20))


def mscm(draw: Draw) -> Problem:
    batch, _, height, width = draw.images()
    channels, out = draw.one(1, 7, 32, 40), draw.one(1, 5, 16, 40)
    k, dtype = draw.one(1, 1, 3), draw.one(*FLOATS)
    x = draw.tensor((batch, channels, height, width), dtype)
    weight = draw.tensor((draw.one(1, 4), out, channels, k, k), dtype, 1 / channels)
    bias = draw.one(None, draw.tensor((out,), dtype))
    options = {"dilation": draw.integer(1, 12), "activation": draw.one("sigmoid", "relu", "none")}
    return Problem((x, weight, bias), options, *tolerance(dtype, 4 * k * k))


def paste(draw: Draw) -> Problem:
    shape, dtype = draw.images(), draw.one(*PIXELS)
    image, source = (draw.tensor(shape, dtype, odd=True) for _ in range(2))
    kind = draw.scattered(torch.randint(0, 3, shape[:1], generator=draw.generator))
    options = {"seed": draw.seed(), "kind": kind, "threshold": draw.one(0.5, -1.0, 2.0), "connectivity": draw.one(4, 8)}
    options["area"] = draw.one((0.0, 1.0), (0.0, 0.05), (0.1, 0.3))
    return Problem((image, source, draw.indices(shape[0])), options, *tolerance(dtype))


def perlin(draw: Draw) -> Problem:
    lowest = draw.integer(0, 12)
    options = {"seed": draw.seed(), "resolution": (lowest, lowest + 3), "rotate": draw.one(True, False)}
    return Problem((draw.indices(draw.integer(0, 3)), draw.images()[2:]), options, 0, 1e-5)


def covariance(draw: Draw) -> Problem:
    batch, channels, height, width = draw.images(channels=20)
    shape = draw.one((batch * height, channels), (batch + 1, channels, height, width))
    return Problem((draw.tensor(shape, draw.one(*FLOATS)),), {}, 1e-10, 1e-10)


def histogram(draw: Draw) -> Problem:
    batch, _, height, width = draw.images()
    shape = (batch, height, width)
    scores = draw.scattered(draw.tensor(shape, draw.one(*FLOATS), 100, odd=True).nan_to_num(7, math.inf, -math.inf))
    weights = draw.tensor(shape, torch.float64).clamp(min=0)
    return Problem((scores, weights), {}, 1e-12, 1e-12)


def rank(draw: Draw) -> Problem:
    dtype, lengths = draw.one(*FLOATS), (draw.integer(0, 300), draw.integer(0, 300))
    scores, among = (draw.tensor((n,), dtype, odd=True).nan_to_num(0, math.inf, -math.inf) for n in lengths)
    return Problem((draw.scattered(scores), draw.scattered(among), draw.one(None, draw.mask(lengths[1:]))))


def region(draw: Draw) -> Problem:
    batch, _, height, width = draw.images()
    return Problem((draw.mask((batch, height, width)),), {}, 1e-15, 0)


def tolerance(dtype: torch.dtype, size: float = 1.0) -> tuple[float, float]:
    """(relative, absolute) where sums of absolute values up to `size` are rounded."""
    if dtype == torch.uint8:
        return 0.0, 0.0
    return (2 * torch.finfo(dtype).eps, 10 * torch.finfo(dtype).eps * size)


PROBLEMS: dict[str, Callable[[Draw], Problem]] = {
    problem.__name__: problem
    for problem in (
        augment,
        batchnorm,
        blend,
        component,
        convolution,
        covariance,
        histogram,
        hog,
        mahalanobis,
        mscm,
        paste,
        perlin,
        rank,
        region,
    )
}


def test_every_op_has_problems() -> None:
    assert set(ops.__all__) <= set(PROBLEMS)


KERNELS = [(op, backend) for op in ops.__all__ for backend in backends.available(op, "cpu") if backend != "reference"]


@pytest.mark.parametrize(("op", "backend"), KERNELS)
def test_the_kernel_equals_the_reference(op: str, backend: str) -> None:
    @settings(
        max_examples=10 if backend == "triton" else EXAMPLES.get(op, 100),  # interpreted, a launch takes 10 ms and more
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def check(data: st.DataObject) -> None:
        problem = PROBLEMS[op](Draw(data))
        actual = specified(op, call(op, problem.arguments, problem.options, backend))
        options = dict(zip(problem.options, tidy(problem.options.values()), strict=True))
        expected = specified(op, call(op, tidy(problem.arguments), options, "reference"))
        if op == "paste":
            # A pixel whose noise lies within 1e-5 of the threshold may differ, and so may what hangs on it.
            same = (actual[1] == expected[1]).flatten(1).all(1)
            assert (~same).sum() <= 1
            actual, expected = (tuple(result[same] for result in results) for results in (actual, expected))
        for mine, theirs in zip(actual, expected, strict=True):
            torch.testing.assert_close(
                mine, theirs, rtol=problem.rtol, atol=problem.atol, equal_nan=True, check_stride=False
            )

    check()


def specified(op: str, results: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The part of the results that backends agree on: of a scatter matrix the lower triangle."""
    return (results[0], results[1].tril()) if op == "covariance" else results


def call(op: str, arguments: tuple, options: dict[str, Any], backend: str) -> tuple[Tensor, ...]:
    result = getattr(ops, op)(*arguments, **options, backend=backend)
    return result if isinstance(result, tuple) else (result,)


def tidy(values: Any) -> tuple:
    """Tensors as contiguous copies, other values as they are."""
    return tuple(value.contiguous().clone() if isinstance(value, Tensor) else value for value in values)
