# SPDX-License-Identifier: Apache-2.0
"""One table of calls per op with GPU kernels: what is compiled for every architecture, and counted, without a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dssm import kernels, ops

HALVES = (torch.bfloat16, torch.float16)
FLOATS = (torch.float32, torch.float64, *HALVES)
PIXELS = (torch.uint8, *FLOATS)
USUAL = (torch.uint8, torch.float32)
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


@dataclass(frozen=True)
class Case:
    """A call of an op's public function, and whether its gradients are wanted too."""

    op: str
    name: str
    arguments: tuple
    options: dict[str, Any] = field(default_factory=dict)
    backward: bool = False

    def __str__(self) -> str:
        return f"{self.op} {self.name}"

    @property
    def usual(self) -> bool:
        """Bytes or float32, contiguous: what is compiled every day, where compiling all takes many minutes."""
        return not {"float64", "float16", "bfloat16", "channels_last"} & set(self.name.split())

    def run(self, backend: str) -> list[Tensor]:
        """The results, then the gradients of all tensors that have one; of tensors of the case's own memory layout."""
        leaves: list[Tensor] = []
        arguments, options = (_leaves(values, leaves, self.backward) for values in (self.arguments, self.options))
        result = getattr(ops, self.op)(*arguments, **options, backend=backend)
        results = list(result) if isinstance(result, tuple) else [result]
        if self.backward:
            grad = torch.linspace(-1, 1, results[0].numel(), dtype=torch.float64).to(results[0]).view_as(results[0])
            grads = torch.autograd.grad(results[0], leaves, grad, allow_unused=True)
            results += [grad for grad in grads if grad is not None]
        return [result.detach() for result in results]


def kernel_ops() -> list[str]:
    """The ops that have kernels, found by their files."""
    stems = {path.stem for folder in kernels.__path__ for path in Path(folder).glob("*.py")}
    return sorted(stems & set(ops.__all__))


def of(op: str, side: int = 256, batch: int = 2) -> list[Case]:
    """The cases of an op, on images of side x side pixels or maps that fit them."""
    return list(CASES[op](side, batch))


def laid_out(dtypes: Sequence[torch.dtype]) -> list[tuple[torch.dtype, str]]:
    """The dtypes, and the usual ones in every layout."""
    return [(d, layout) for d in dtypes for layout in LAYOUTS if d in USUAL or layout == "contiguous"]


def augment(side: int, batch: int) -> Iterator[Case]:
    for layout in LAYOUTS:
        image = _pixels((batch, 3, side, side), torch.uint8, layout)
        yield Case("augment", layout, (image, torch.arange(batch)), {"seed": 1})


def blend(side: int, batch: int) -> Iterator[Case]:
    for dtype, layout in laid_out(PIXELS):
        image, source = (_pixels((batch, 3, side, side), dtype, layout, seed) for seed in (0, 1))
        mask = _values((batch, side, side), seed=2) > 0.2
        alpha = _values((batch,), seed=3).abs()
        name = f"{_name(dtype)} {layout}"
        yield Case("blend", name, (image, source, mask, alpha), backward=dtype.is_floating_point)


def component(side: int, batch: int) -> Iterator[Case]:
    for connectivity, (height, width) in product((8, 4), ((side, side), (side - 1, 2 * side + 1))):
        mask = _values((batch, height, width)) > 0.1
        yield Case("component", f"{height}x{width} {connectivity}", (mask,), {"connectivity": connectivity})


def covariance(side: int, batch: int) -> Iterator[Case]:
    for dtype in FLOATS:
        yield Case("covariance", f"{_name(dtype)} shared", (_values((side + 3, 60), dtype),))
        yield Case("covariance", f"{_name(dtype)} per position", (_values((8 * batch, 40, 4, 4), dtype),))


def hog(side: int, batch: int) -> Iterator[Case]:
    for (dtype, layout), mode in product(laid_out(PIXELS), ("skimage", "opencv")):
        image = _pixels((batch, 3, side, side), dtype, layout)
        name, floating = f"{_name(dtype)} {layout} {mode}", dtype.is_floating_point
        yield Case("hog", name, (image,), {"mode": mode}, floating)
    for mode in ("skimage", "opencv"):
        options = {"mode": mode, "size": (side // 2, max(side // 4, 16))}
        image = _pixels((batch, 3, side, side), torch.uint8, "contiguous")
        yield Case("hog", f"uint8 target {mode}", (image,), options)
        yield Case("hog", f"float32 target {mode}", (image.float(),), options, True)


def mahalanobis(side: int, batch: int) -> Iterator[Case]:
    channels, edge = 100, side // 16
    for dtype, layout in laid_out(FLOATS):
        x = _values((batch, channels, edge, edge), dtype, layout=layout)
        kept = torch.float64 if dtype == torch.float64 else torch.float32
        whiten = _values((edge, edge, channels, channels), kept, 1).tril()
        mean = _values((edge, edge, channels), kept, 2)
        name = f"{_name(dtype)} {layout}"
        yield Case("mahalanobis", f"{name} per position", (x, mean, whiten), backward=True)
        yield Case("mahalanobis", f"{name} shared", (x, mean[0, 0], whiten[0, 0]), backward=True)
    points = _values((side, 448))
    yield Case("mahalanobis", "float32 points", (points, points[0], _values((448, 448), seed=1).tril()), backward=True)


def mscm(side: int, batch: int) -> Iterator[Case]:
    channels, edge = 64, side // 8
    for dtype, layout in laid_out(FLOATS):
        x = _values((batch, channels, edge, edge), dtype, layout=layout)
        weight = _values((4, channels, channels, 1, 1), dtype, 1) / 16
        bias = _values((channels,), dtype, 2)
        sizes = (channels // 16, channels), (channels // 16,), (channels, channels // 16), (channels,)
        attention = tuple(_values(size, dtype, 3) for size in sizes)
        name = f"{_name(dtype)} {layout}"
        yield Case("mscm", name, (x, weight, bias), {"attention": attention}, True)
        yield Case("mscm", f"{name} plain", (x, weight), {"activation": "relu", "dilation": 1}, True)


def paste(side: int, batch: int) -> Iterator[Case]:
    for dtype, layout in laid_out(PIXELS):
        image, source = (_pixels((batch, 3, side, side), dtype, layout, seed) for seed in (0, 1))
        name, floating = f"{_name(dtype)} {layout}", dtype.is_floating_point
        yield Case("paste", name, (image, source, torch.arange(batch)), {"seed": 1}, floating)
        options = {"seed": 1, "kind": torch.arange(batch) % 3, "area": (0.02, 0.1), "connectivity": 4}
        yield Case("paste", f"{name} kinds", (image, source, torch.arange(batch)), options, floating)


def region(side: int, batch: int) -> Iterator[Case]:
    for height, width in ((side, side), (side - 1, 2 * side + 1)):
        yield Case("region", f"{height}x{width}", (_values((batch, height, width)) > 0.1,))


def perlin(side: int, batch: int) -> Iterator[Case]:
    for rotate, (height, width) in product((True, False), ((side, side), (side - 1, side + 3))):
        name = f"{height}x{width}{' rotated' if rotate else ''}"
        yield Case("perlin", name, (torch.arange(batch), (height, width)), {"seed": 1, "rotate": rotate})


CASES: dict[str, Callable[[int, int], Iterator[Case]]] = {
    cases.__name__: cases
    for cases in (augment, blend, component, covariance, hog, mahalanobis, mscm, paste, perlin, region)
}


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _values(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0, layout: str = "contiguous"
) -> Tensor:
    """Uniform in [-1, 1)."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return values.to(dtype).contiguous(memory_format=LAYOUTS[layout])


def _pixels(shape: tuple[int, ...], dtype: torch.dtype, layout: str, seed: int = 0) -> Tensor:
    """Uniform in [0, 255)."""
    return ((_values(shape, seed=seed) + 1) * 127.5).to(dtype).contiguous(memory_format=LAYOUTS[layout])


def _leaves(values: Any, leaves: list[Tensor], wanted: bool) -> Any:
    """The values with tensors of floats, where gradients are wanted, as leaves that are also added to the list."""
    if isinstance(values, dict):
        return dict(zip(values, _leaves(tuple(values.values()), leaves, wanted), strict=True))
    if isinstance(values, tuple):
        return tuple(_leaves(value, leaves, wanted) for value in values)
    if wanted and isinstance(values, Tensor) and values.is_floating_point():
        leaves.append(values.detach().requires_grad_())
        return leaves[-1]
    return values
