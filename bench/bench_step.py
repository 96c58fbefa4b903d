# SPDX-License-Identifier: Apache-2.0
"""One step of training against a stock implementation, on the same images, batch, optimiser and cores.

Both train ResNet-18 with the heads of the preset on 16 good and 16 pasted images of brushed metal. Every patch is
Perlin noise, so that the stock loop need not imitate our scars. Both may use as many cores as there are threads: the
stock loop is timed with 0, 1 and 2 workers up to that number, and the ratio refers to the fastest of them, which a
careful user would have chosen. It takes the same optimiser as PyTorch makes it by default, at a constant rate.
The parts of our step: paste is all that makes the batch (textures, RandAugment, PasteNoise, copies) but the targets;
forward, backward and optimiser are these calls; rest is what remains, such as the losses and picking the images.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from dssm.data.procedural import procedural
from dssm.methods import dssm as method
from dssm.settings import Settings, preset
from dssm.training import batch as batches
from dssm.training import loop

from .conftest import Role
from .inputs import surfaces
from .stopwatch import Stopwatch

SIDE = 256
IMAGES, TEXTURES = 64, 28
WARM = 2  # steps before the first that counts
each_preset = pytest.mark.parametrize("name", ["paper", "quick"])


@pytest.fixture
def settings(name: str, batch: int) -> Settings:
    return preset(name).replace(size=(SIDE, SIDE), patches=("noise",), batch=batch, epochs=1000)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return surfaces(IMAGES, SIDE, SIDE)


@pytest.fixture(scope="module")
def textures() -> Tensor:
    return torch.from_numpy(procedural(TEXTURES, (SIDE, SIDE)))


@pytest.fixture
def timed_steps(
    benchmark: BenchmarkFixture, name: str, settings: Settings, threads: int, request: pytest.FixtureRequest
) -> Callable[[str, Role, Callable[[], object]], None]:
    """Times a warm step."""
    rounds = request.config.getoption("rounds")

    def run(system: str, role: Role, step: Callable[[], object]) -> None:
        facts = {"op": "step", "case": f"{name} {SIDE}x{SIDE}", "system": system, "role": role}
        benchmark.group = f"step {facts['case']}"
        benchmark.extra_info |= {**facts, "images": settings.batch, "threads": threads}
        benchmark.pedantic(step, rounds=rounds)

    return run


@each_preset
def bench_dssm(
    benchmark: BenchmarkFixture, timed_steps: Callable, images: Tensor, textures: Tensor, settings: Settings
) -> None:
    torch.manual_seed(settings.seed)
    trainer = loop._Trainer(method.DSSM(settings), images, textures)
    trainer.method.network.train()
    numbers = iter(range(trainer.steps))
    for _ in range(WARM):
        trainer.step(next(numbers))
    watch = Stopwatch(benchmark._timer)
    with watching_step(watch, trainer):
        timed_steps("dssm", "ours", lambda: trainer.step(next(numbers)))
    benchmark.extra_info["parts"] = parts(watch.seconds)


def watching_step(watch: Stopwatch, trainer: loop._Trainer) -> ExitStack:
    """Every part of a step under the stopwatch."""
    stack = ExitStack()
    for owner, function, part in (
        (trainer, "step", "step"),
        (method, "make_batch", "make_batch"),
        (batches, "make_targets", "targets"),
        (trainer.method.network, "forward", "forward"),
        (Tensor, "backward", "backward"),
        (trainer.optimizer, "step", "optimiser"),
    ):
        stack.enter_context(watch.watching(owner, function, part))
    return stack


def parts(seconds: dict[str, float]) -> dict[str, float]:
    """Shares of the step, which add up to 1."""
    step = seconds["step"]
    shares = {part: seconds[part] / step for part in ("forward", "backward", "optimiser", "targets")}
    shares["paste"] = (seconds["make_batch"] - seconds["targets"]) / step
    return {**shares, "rest": 1 - sum(shares.values())}


@each_preset
@pytest.mark.parametrize("workers", [0, 1, 2])
def bench_stock(
    benchmark: BenchmarkFixture,
    timed_steps: Callable,
    images: Tensor,
    textures: Tensor,
    settings: Settings,
    workers: int,
    threads: int,
) -> None:
    stock = pytest.importorskip(f"{__package__}.stock", reason="the stock loop needs scikit-image, SciPy and OpenCV")
    if workers > threads:
        pytest.skip(f"{workers} workers on {threads} cores")
    if workers and benchmark._timer is not time.perf_counter:
        pytest.skip("the CPU time of this thread does not hold that of the workers")
    steps = stock.steps(images, textures, settings, workers)
    for _ in range(WARM):
        next(steps)
    timed_steps(f"stock loop, {workers} worker{'s' * (workers != 1)}", "rival", lambda: next(steps))
