# SPDX-License-Identifier: Apache-2.0
"""The launches of Triton kernels, compiled for an architecture that this machine does not have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.runtime import driver
from triton.runtime.jit import JITFunction


@dataclass(frozen=True)
class Launch:
    name: str
    ptx: str
    grid: int  # programs along the only axis
    shared: int  # bytes
    arguments: list[tuple[str, Any]]  # Triton's type and the value of every parameter


class _Driver(DriverBase):
    """Enough of a driver to compile with; what calls it is never launched by it."""

    def __init__(self, target: GPUTarget) -> None:
        super().__init__()
        self.target = target

    @staticmethod
    def is_active() -> bool:
        return True

    def map_python_to_cpp_type(self, type: str) -> str:
        return type

    def get_current_target(self) -> GPUTarget:
        return self.target

    def get_current_device(self) -> str:
        return f"{self.target.backend}:{self.target.arch}"  # a cache of compiled kernels per target

    def get_current_stream(self, _: object) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cpu")

    def get_benchmarker(self) -> Callable:
        raise RuntimeError("nothing can be timed here")


@contextmanager
def launching(on_launch: Callable[[Launch], None], capability: int = 80) -> Iterator[None]:
    """Inside, kernels are compiled for a compute capability and handed to `on_launch` instead of being launched."""
    run = JITFunction.run

    def hand_over(self: JITFunction, *arguments: Any, grid: Any, **options: Any) -> Any:
        kernel = run(self, *arguments, grid=grid, **(options | {"warmup": True}))
        given = dict(zip(self.arg_names, arguments, strict=False)) | options
        signature = {name: type for name, type in kernel.src.signature.items() if type != "constexpr"}
        on_launch(
            Launch(
                kernel.metadata.name,
                kernel.asm["ptx"],
                grid[0],
                kernel.metadata.shared,
                [(type, given[name]) for name, type in signature.items()],
            )
        )
        return kernel

    before = driver._active
    driver.set_active(_Driver(GPUTarget("cuda", capability, 32)))
    try:
        with patch.object(JITFunction, "run", hand_over):
            yield
    finally:
        driver._active = before
