# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernels on the CPU: right in every order of threads, free of races; and checks that say so still bite."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from dssm.reference.paste import paste
from tests.gpu.emulator.build import CSRC, build, missing, rebuild
from tests.gpu.emulator.emulator import FORWARD, ORDERS, REVERSED, SHUFFLED, Emulator, KernelError, lent
from tests.gpu.mutants import Edit
from tests.gpu.mutants.cuda import COMPONENT, MUTANTS

ROOT = Path(__file__).parents[2]
SCHEDULES = [(FORWARD, 0), (REVERSED, 0), *((SHUFFLED, seed) for seed in range(3))]

# Seed, threshold, alpha, resolution, area, connectivity: noise whose area is searched; noise so fine that its gradients
# do not fit into their table, in a few components of equal size, or in one that many threads put together.
COARSE = 3, 0.5, [0.5, 1.0], [0, 4], [0.02, 0.1], 8
SPARSE = 4, 0.85, [0.5, 1.0], [6, 8], [0.0, 1.0], 4
DENSE = 5, 0.1, [0.5, 1.0], [6, 8], [0.0, 1.0], 8
SETTINGS = {"coarse": COARSE, "sparse": SPARSE, "dense": DENSE}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The kernels as they are."""
    if reason := missing():
        pytest.skip(f"CUDA KERNELS NOT EMULATED: {reason}")
    return build(tmp_path_factory.mktemp("emulated"))


@pytest.fixture(scope="session")
def emulator(library: Path) -> Emulator:
    return Emulator(library)


@pytest.fixture
def kernels(emulator: Emulator) -> Iterator[ModuleType]:
    """dssm.cuda.paste, emulated."""
    with lent(emulator) as module:
        yield module


def example(size: tuple[int, ...], dtype: torch.dtype = torch.uint8) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images, sources, sample numbers and kinds."""
    random = torch.Generator().manual_seed(0)
    image, source = (torch.rand(size, generator=random, dtype=torch.float64) * 256 for _ in range(2))
    index = torch.arange(len(image))
    return image.to(dtype), source.to(dtype), index * (2**31 + 1), index % 3


def mistake(emulator: Emulator, module: ModuleType) -> str:
    """What the emulator says of any schedule and threads, or that the result is not the reference's."""
    for settings in SETTINGS.values():
        inputs = example((4, 1, 21, 40))
        expected = paste(*inputs, *settings)
        for schedule in SCHEDULES:
            emulator.schedules = itertools.repeat(schedule)
            try:
                result = module.paste(*inputs, *settings)
            except KernelError as error:
                return str(error)
            if not all(torch.equal(ours, theirs) for ours, theirs in zip(result, expected, strict=True)):
                return f"result: not the reference's ({schedule})"
    return ""


def test_the_tests_of_paste_pass(library: Path) -> None:
    """Those that run a kernel, where "cuda" is a backend of the CPU; the order of threads changes with every launch."""
    others = "not contract and not gradients and not shapes and not tie and not names"
    command = [sys.executable, "-m", "pytest", "tests/ops/test_paste.py", "--backend", "cuda", "-k", others]
    command += ["-p", "tests.gpu.emulator.emulator", "-p", "no:cacheprovider"]
    environment = {**os.environ, "EMULATED_CUDA": str(library)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


@pytest.mark.parametrize("threads", [32, 96, 256])
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS.keys())
def test_bits_depend_on_no_order(
    settings: tuple, threads: int, emulator: Emulator, kernels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_threads", lambda _: threads)
    inputs = example((3, 2, 37, 70), torch.float32)
    results = []
    for schedule in SCHEDULES:
        emulator.schedules = itertools.repeat(schedule)
        results.append(kernels.paste(*inputs, *settings))
    for result in results[1:]:
        assert all(torch.equal(ours, first) for ours, first in zip(result, results[0], strict=True))
    assert torch.equal(results[0][1], paste(*inputs, *settings)[1])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float32, torch.float64])
def test_rows_of_16_bytes_are_copied_at_once(dtype: torch.dtype, emulator: Emulator, kernels: ModuleType) -> None:
    """The same with an address and with strides that allow it, and without."""
    emulator.schedules = itertools.cycle((order, 0) for order in ORDERS)
    image, source, index, kind = example((3, 2, 20, 48), dtype)
    odd = torch.empty(image.numel() + 1, dtype=dtype)[1:].view(image.shape).copy_(image)
    last = image.to(memory_format=torch.channels_last)
    expected = paste(image, source, index, kind, *COARSE)
    for changed in (image, odd, last):
        for ours, theirs in zip(kernels.paste(changed, source, index, kind, *COARSE), expected, strict=True):
            torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("size", [(256, 256), (300, 300)])
def test_an_image_fits_into_a_block_of_the_oldest_devices(size: tuple[int, int], kernels: ModuleType) -> None:
    """The first into the shared memory that every kernel has, the second into what is asked for."""
    assert kernels.lib.paste_fits(*size, 8, 0)
    inputs = example((1, 1, *size))
    settings = 3, 0.5, [0.5, 1.0], [0, 6], [0.0, 1.0], 8
    result = kernels.paste(*inputs, *settings)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(result, paste(*inputs, *settings), strict=True))


def test_images_too_large_for_a_block_are_left_to_another_backend(kernels: ModuleType) -> None:
    image, source, index, kind = example((1, 1, 520, 520))
    result = kernels.paste(image, source, index, kind, *COARSE)
    assert all(torch.equal(a, b) for a, b in zip(result, paste(image, source, index, kind, *COARSE), strict=True))


def test_many_components_are_added_up_in_turns(library: Path, tmp_path: Path) -> None:
    """As where there are more components than areas at a time: no other image of these tests has so many."""
    few = Edit("areas for four components alone", COMPONENT, "kAreas = 1024", "kAreas = 4", "")
    emulator = broken(few, library, tmp_path)
    with lent(emulator) as module:
        assert mistake(emulator, module) == ""


def test_the_kernels_make_no_mistake(emulator: Emulator, kernels: ModuleType) -> None:
    """None of those that the planted ones below are caught by."""
    assert mistake(emulator, kernels) == ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_mutants_are_caught(mutant: Edit, library: Path, tmp_path: Path) -> None:
    emulator = broken(mutant, library, tmp_path)
    emulator.accesses = 3_000_000
    with lent(emulator) as module:
        said = mistake(emulator, module)
    assert mutant.caught in said, said


def broken(mutant: Edit, library: Path, folder: Path) -> Emulator:
    """Of kernels that have the mistake."""
    changed = Path(shutil.copytree(CSRC, folder / "csrc", ignore=shutil.ignore_patterns("cpu")))
    mutant.plant(folder)
    return Emulator(rebuild(changed, library.parent, folder))
