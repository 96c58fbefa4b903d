# SPDX-License-Identifier: Apache-2.0
"""Where the real images are, and small images and settings to train on in seconds."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor

from dssm.cli.bench import module
from dssm.settings import Settings, preset

REAL = Path(os.environ.get("DSSM_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
DEVICE = os.environ.get("DSSM_TEST_DEVICE")  # run the kernels of a GPU there, on the tensors of the tests
ferry = module("ferry")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", help="leave out the tests that run for another backend than this one")
    parser.addoption("--guard", action="store_true", help="check every access of Triton's interpreter (bench/guard.py)")
    parser.addoption("--thorough", action="store_true", help="check GPU kernels for every target, with every test")


def pytest_configure(config: pytest.Config) -> None:
    if DEVICE:
        elsewhere = ExitStack()
        elsewhere.enter_context(ferry.ferried(DEVICE))
        config.add_cleanup(elsewhere.close)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if wanted := config.getoption("--backend"):
        items[:] = [item for item in items if backend(item) in (None, wanted)]
    if DEVICE:  # what runs for no backend of its own would test nothing of the device
        items[:] = [item for item in items if backend(item) in ferry.BACKENDS]


def backend(item: pytest.Item) -> str | None:
    """The backend that a test runs for, if it runs for one."""
    return item.callspec.params.get("backend") if hasattr(item, "callspec") else None


@pytest.fixture(scope="session")
def real() -> Callable[[str], Path]:
    """Return the folder of a real data set; the test is skipped where it does not exist."""

    def folder(name: str) -> Path:
        if not (REAL / name).is_dir():
            pytest.skip(f"REAL DATA MISSING: {REAL / name} is no folder; set DSSM_TEST_DATA")
        return REAL / name

    return folder


@pytest.fixture(scope="session")
def surfaces() -> Tensor:
    """(24, 3, 64, 64) uint8: brushed metal, a little different every time."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(24, 1, 64, 1, generator=generator) * 40 + 100
    grain = torch.randn(24, 3, 64, 64, generator=generator) * 6
    return (rows + grain).clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="session")
def good_folder(tmp_path_factory: pytest.TempPathFactory, surfaces: Tensor) -> Path:
    """The surfaces as a flat folder of png files."""
    folder = tmp_path_factory.mktemp("good parts")
    for i, surface in enumerate(surfaces):
        Image.fromarray(surface.permute(1, 2, 0).numpy()).save(folder / f"{i:02}.png")
    return folder


@pytest.fixture(scope="session")
def tiny() -> Settings:
    """The quick preset, cut down to a few steps on 64x64 images."""
    return preset("quick").replace(size=(64, 64), batch=8, samples=34, checkpoint=0.0)
