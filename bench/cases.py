# SPDX-License-Identifier: Apache-2.0
"""One table of calls per op with GPU kernels: what is compiled, counted, executed or timed of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from dssm import kernels, ops

HALVES = (torch.bfloat16, torch.float16)
FLOATS = (torch.float32, torch.float64, *HALVES)
PIXELS = (torch.uint8, *FLOATS)
USUAL = (torch.uint8, torch.float32)
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": Tensor.contiguous,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "transposed": lambda x: x.mT.contiguous().mT,  # columns before rows: pixels that no single stride walks through
}


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
        return not {"float64", "float16", "bfloat16", "channels_last", "transposed"} & set(self.name.split())

    def run(self, backend: str) -> list[Tensor]:
        """The results, then the gradients of all tensors that have one; of tensors of the case's own memory layout."""
        arguments, options = tree_map(self._leaf, (self.arguments, self.options))
        result = getattr(ops, self.op)(*arguments, **options, backend=backend)
        results = list(result) if isinstance(result, tuple) else [result]
        if self.backward:
            grad = torch.linspace(-1, 1, results[0].numel(), dtype=torch.float64).to(results[0]).view_as(results[0])
            leaves = [x for x in tree_leaves((arguments, options)) if isinstance(x, Tensor) and x.requires_grad]
            grads = torch.autograd.grad(results[0], leaves, grad, allow_unused=True)
            results += [grad for grad in grads if grad is not None]
        return [result.detach() for result in results]

    def _leaf(self, value: Any) -> Any:
        wanted = self.backward and isinstance(value, Tensor) and value.is_floating_point()
        return value.detach().requires_grad_() if wanted else value


def kernel_ops() -> list[str]:
    """The ops that have kernels, found by their files."""
    stems = {path.stem for folder in kernels.__path__ for path in Path(folder).glob("*.py")}
    return sorted(stems & set(ops.__all__))


def of(op: str, side: int = 256, batch: int = 2) -> list[Case]:
    """The cases of an op, on images of side x side pixels or maps that fit them; small ones have few channels too."""
    return list(CASES[op](side, batch))


def specified(op: str, results: list[Tensor]) -> list[Tensor]:
    """What all backends agree on: what stands above the diagonal of a scatter is open."""
    return [results[0], results[1].tril()] if op == "covariance" else results


def laid_out(dtypes: Sequence[torch.dtype], *layouts: str) -> list[tuple[torch.dtype, str]]:
    """The dtypes, contiguous; and the usual ones in these other layouts."""
    others = [(dtype, layout) for dtype in dtypes if dtype in USUAL for layout in layouts]
    return [*((dtype, "contiguous") for dtype in dtypes), *others]


def augment(side: int, batch: int) -> Iterator[Case]:
    for layout in ("contiguous", "channels_last"):
        image = _pixels((batch, 3, side, side), torch.uint8, layout)
        yield Case("augment", layout, (image, torch.arange(batch)), {"seed": 1})


def blend(side: int, batch: int) -> Iterator[Case]:
    for dtype, layout in laid_out(PIXELS, "channels_last", "transposed"):
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
        yield Case("covariance", f"{_name(dtype)} shared", (_values((side + 3, min(60, side)), dtype),))
        maps = _values((8 * batch, min(40, side), 4, 4), dtype)
        yield Case("covariance", f"{_name(dtype)} per position", (maps,))


def hog(side: int, batch: int) -> Iterator[Case]:
    for (dtype, layout), mode in product(laid_out(PIXELS, "channels_last"), ("skimage", "opencv")):
        image = _pixels((batch, 3, side, side), dtype, layout)
        name, floating = f"{_name(dtype)} {layout} {mode}", dtype.is_floating_point
        yield Case("hog", name, (image,), {"mode": mode}, floating)
    for mode in ("skimage", "opencv"):
        options = {"mode": mode, "size": (side // 2, max(side // 4, 16))}
        image = _pixels((batch, 3, side, side), torch.uint8)
        yield Case("hog", f"uint8 target {mode}", (image,), options)
        yield Case("hog", f"float32 target {mode}", (image.float(),), options, True)


def mahalanobis(side: int, batch: int) -> Iterator[Case]:
    channels, edge = min(100, side - 4), side // 16  # no power of two: some lanes have no channel
    for dtype, layout in laid_out(FLOATS, "channels_last"):
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
    channels, edge = min(64, side), side // 8
    for dtype, layout in laid_out(FLOATS, "channels_last"):
        x = _values((batch, channels, edge, edge), dtype, layout=layout)
        weight = _values((4, channels, channels, 1, 1), dtype, 1) / 16
        bias = _values((channels,), dtype, 2)
        sizes = (channels // 16, channels), (channels // 16,), (channels, channels // 16), (channels,)
        attention = tuple(_values(size, dtype, 3) for size in sizes)
        name = f"{_name(dtype)} {layout}"
        yield Case("mscm", name, (x, weight, bias), {"attention": attention}, True)
        yield Case("mscm", f"{name} plain", (x, weight), {"activation": "relu", "dilation": 1}, True)


def paste(side: int, batch: int) -> Iterator[Case]:
    for dtype, layout in laid_out(PIXELS, "channels_last", "transposed"):
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
    return LAYOUTS[layout](values.to(dtype))


def _pixels(shape: tuple[int, ...], dtype: torch.dtype, layout: str = "contiguous", seed: int = 0) -> Tensor:
    """Uniform in [0, 255)."""
    return LAYOUTS[layout](((_values(shape, seed=seed) + 1) * 127.5).to(dtype))
