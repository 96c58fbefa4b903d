# SPDX-License-Identifier: Apache-2.0
"""What the Triton kernels must move and compute, what they do, and how fast data sheets let a GPU do that at best.

    TRITON_INTERPRET=1 python -m dssm.bench.roofline --docs .

Bytes and operations are counted in Triton's interpreter, lane by lane; nothing here is a time that anyone measured.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves
from triton.runtime.interpreter import InterpreterBuilder

from dssm import backends, files
from dssm.errors import InputError

from . import cases
from .datasheets import GPUS
from .guard import Guard
from .interpreter import faithful

LABEL = "data-sheet lower bound, not a timing"
IMAGES = 32  # what the figures are for; images are counted one by one
# Lanes of these are operations; a fused multiply-add is two.
ARITHMETIC = dict.fromkeys(("create_fadd", "create_fsub", "create_fmul", "create_fdiv", "create_precise_divf"), 1)
ARITHMETIC |= dict.fromkeys(("create_sqrt", "create_precise_sqrt", "create_rsqrt", "create_exp", "create_exp2"), 1)
ARITHMETIC |= dict.fromkeys(("create_log", "create_log2", "create_sin", "create_cos"), 1) | {"create_fma": 2}


@dataclass
class Count:
    """A forward pass: the least bytes, the bytes that active lanes moved, and operations by what computes them."""

    op: str
    case: str
    least: float = 0
    moved: float = 0
    operations: dict[str, float] = field(default_factory=dict)
    launches: dict[str, int] = field(default_factory=dict)

    def bound(self, name: str) -> float:
        """Seconds below which the named GPU cannot be, by its data sheet."""
        gpu = GPUS[name]
        computing = sum(number / getattr(gpu, kind) for kind, number in self.operations.items())
        return max(self.least / gpu.bandwidth, computing)

    def times(self, factor: float) -> Count:
        """That of as many images more."""
        operations = {kind: number * factor for kind, number in self.operations.items()}
        return replace(self, least=self.least * factor, moved=self.moved * factor, operations=operations)


def subjects(op: str) -> Iterator[tuple[cases.Case, float]]:
    """Calls to count, and the factor to IMAGES images of 256 x 256 pixels, where one stands for all."""
    if op in ("mahalanobis", "mscm", "covariance"):
        yield from ((case, 1.0) for case in cases.of(op, side=128) if case.name.startswith("float32"))
    else:
        wanted = ("float32 contiguous", "uint8 contiguous", "contiguous", "256x256")
        yield from ((case, IMAGES) for case in cases.of(op, batch=1) if case.name.startswith(wanted))


def count(case: cases.Case) -> Count:
    """Of one forward pass, in the interpreter."""
    operations: Counter = Counter()
    with faithful(), Guard(orders=("forward",)).watching() as guard, _counting(operations):
        results = replace(case, backward=False).run("triton")
    moved = sum(kernel.loaded + kernel.stored + kernel.atomic for kernel in guard.traffic.values())
    launches = {name: kernel.launches for name, kernel in guard.traffic.items()}
    return Count(case.op, case.name, least(case, results), moved, dict(operations), launches)


def least(case: cases.Case, results: list[Tensor]) -> float:
    """Every argument read once, every result written once; of a source of content what the mask shows."""
    given = [x for x in tree_leaves((case.arguments, case.options)) if isinstance(x, Tensor)]
    total = sum(x.numel() * x.element_size() for x in (*given, *results))
    if case.op in ("blend", "paste"):
        source = case.arguments[1]
        mask = case.arguments[2] if case.op == "blend" else results[1]
        total -= source.numel() * source.element_size() * (1 - mask.double().mean().item())
    return total


@contextmanager
def _counting(operations: Counter) -> Iterator[None]:
    """Adds the floating-point operations of all lanes, masked or not, to the counter."""
    with ExitStack() as stack:
        for name, worth in ARITHMETIC.items():
            original = getattr(InterpreterBuilder, name)
            stack.enter_context(patch.object(InterpreterBuilder, name, _elementwise(original, worth, operations)))
        stack.enter_context(patch.object(InterpreterBuilder, "create_dot", _dot(operations)))
        yield


def _elementwise(original: Callable, worth: int, operations: Counter) -> Callable:
    def counted(*arguments: Any) -> Any:
        result = original(*arguments)
        operations["float64" if result.data.dtype.itemsize == 8 else "float32"] += worth * result.data.size
        return result

    return counted


def _dot(operations: Counter) -> Callable:
    original = InterpreterBuilder.create_dot

    def counted(builder: Any, a: Any, b: Any, d: Any, precision: Any, *rest: Any) -> Any:
        bits = a.dtype.scalar.primitive_bitwidth
        exact = str(precision).rpartition(".")[2] == "IEEE"
        kind = {64: "float64", 32: "float32" if exact else "tf32"}.get(bits, "half")
        operations[kind] += 2 * math.prod(d.data.shape) * a.data.shape[-1]
        return original(builder, a, b, d, precision, *rest)

    return counted


def table(counts: list[Count]) -> list[str]:
    """Markdown."""
    header = [
        "op and case",
        "launches",
        "least MB",
        "moved MB",
        "moved / least",
        "GFLOP",
        *(f"{gpu}, us" for gpu in GPUS),
    ]
    lines = [f"| {' | '.join(header)} |", f"|---|{'---:|' * (len(header) - 1)}"]
    for count in counts:
        cells = [
            *(f"{count.op} {count.case}", str(sum(count.launches.values()))),
            *(f"{count.least / 1e6:.2f}", f"{count.moved / 1e6:.2f}", f"{count.moved / count.least:.2f}"),
            *(f"{sum(count.operations.values()) / 1e9:.2f}", *(f"{count.bound(gpu) * 1e6:.1f}" for gpu in GPUS)),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def write_docs(root: Path, counts: list[Count]) -> None:
    """docs/roofline.md, .json and .png."""
    rows = [
        {
            **vars(count),
            "moved_over_least": count.moved / count.least,
            "bound_us": {g: count.bound(g) * 1e6 for g in GPUS},
        }
        for count in counts
    ]
    gpus = {name: vars(gpu) for name, gpu in GPUS.items()}
    files.write_json(root / "docs" / "roofline.json", {"label": LABEL, "images": IMAGES, "gpus": gpus, "counts": rows})
    text = [
        "# Roofline",
        "",
        "Made by `make roofline` from counts in Triton's interpreter; do not edit. **No GPU ran anything here:** the",
        f"columns of GPUs are a *{LABEL}*: the least bytes over the peak bandwidth, or the operations over the peak of",
        "what computes them, whichever is longer. Forward passes.",
        "",
        f"Images are for a batch of {IMAGES} of 3 x 256 x 256, counted on one of them and multiplied; maps are counted",
        "as they are. Least: every argument read once and every result written once, of a source what the mask shows.",
        "Moved: what the active lanes of all launches load and store, whichever cache answers. Operations: of all",
        "lanes.",
        "",
        *table(counts),
        "",
        "![roofs of the GPUs, and where the ops stand](roofline.png)",
    ]
    files.write_text(root / "docs" / "roofline.md", "\n".join(text) + "\n")
    draw(counts, root / "docs" / "roofline.png")


def draw(counts: list[Count], path: Path) -> None:
    """Attainable float32 operations over operations per byte, and a line where each op's first case stands."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError('matplotlib is missing; run: pip install "dssm-surface[bench]"') from error

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    intensities = [2.0**exponent for exponent in range(-4, 11)]
    for name, gpu in GPUS.items():
        points = sorted([*intensities, gpu.float32 / gpu.bandwidth])
        axes.plot(points, [min(gpu.float32, gpu.bandwidth * x) / 1e12 for x in points], label=name)
    first = {count.op: count for count in reversed(counts)}
    for place, count in enumerate(first.values()):
        intensity = max(sum(count.operations.values()) / count.least, intensities[0])
        axes.axvline(intensity, color="0.8", linewidth=1, zorder=0)
        height = 0.011 * 1.3**place  # none covers another
        axes.text(intensity, height, f"{count.op} {count.case}", fontsize=7, va="bottom", ha="left")
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_ylim(0.01, 300)
    axes.set_xlabel("floating-point operations per byte that must move")
    axes.set_ylabel("10^12 float32 operations/s that the data sheet allows (no timing)")
    axes.grid(color="0.95")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dssm.bench.roofline", description=__doc__.partition("\n")[0])
    parser.add_argument("--op", action="append", help="only this op; repeatable")
    parser.add_argument("--docs", type=Path, help="root of a checkout whose docs/roofline.* to rewrite")
    options = parser.parse_args()
    if not backends.INTERPRETED:
        raise InputError("bytes are counted in Triton's interpreter; set TRITON_INTERPRET=1")
    torch.set_num_threads(1)
    ops = options.op or cases.kernel_ops()
    counts = [count(case).times(factor) for op in ops for case, factor in subjects(op)]
    print(LABEL, *table(counts), sep="\n")
    if options.docs is not None:
        write_docs(options.docs, counts)


if __name__ == "__main__":
    main()
