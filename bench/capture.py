# SPDX-License-Identifier: Apache-2.0
"""Launches of Triton kernels, compiled for a GPU that this machine does not have, and handed over, not executed."""

from __future__ import annotations

import faulthandler
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.runtime import driver
from triton.runtime.jit import JITFunction

TARGETS = {
    "sm_75": GPUTarget("cuda", 75, 32),
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "sm_120": GPUTarget("cuda", 120, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
PATIENCE = 120  # seconds for one kernel


@dataclass(frozen=True)
class Launch:
    """A kernel as a wrapper launched it, and what Triton compiled for that."""

    kernel: str
    grid: tuple[int, ...]
    arguments: list[tuple[str, Any]]  # Triton's type and the value of every parameter that is no constant
    compiled: Any


@contextmanager
def capturing(target: str, on_launch: Callable[[Launch], None]) -> Iterator[None]:
    """Inside, kernels are compiled for the target, as its driver would ask for, and handed to `on_launch`.

    Their tensors may be without memory: those count as aligned as CUDA aligns what it allocates.
    """
    before = driver._active
    driver.set_active(_Driver(target))
    try:
        with patch.object(JITFunction, "run", _handing_over(JITFunction.run, on_launch)):
            yield
    finally:
        driver._active = before


def _handing_over(original: Callable, on_launch: Callable[[Launch], None]) -> Callable:
    def run(kernel: Any, *arguments: Any, grid: Any, **options: Any) -> Any:
        addressed = [_Pointer(x) if isinstance(x, Tensor) and x.is_meta else x for x in arguments]
        print(f"compiling {kernel.fn.__name__}", file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        try:
            compiled = original(kernel, *addressed, grid=grid, **{**options, "warmup": True})
        finally:
            faulthandler.cancel_dump_traceback_later()
        given = dict(zip(kernel.arg_names, arguments, strict=False)) | options
        types = {name: type for name, type in compiled.src.signature.items() if type != "constexpr"}
        values = [(type, given[name]) for name, type in types.items()]
        on_launch(Launch(kernel.fn.__name__, tuple(grid), values, compiled))
        return compiled

    return run


class _Driver(DriverBase):
    """Says that a GPU of the target is there."""

    def __init__(self, target: str) -> None:
        self.target = target

    @staticmethod
    def is_active() -> bool:
        return True

    def map_python_to_cpp_type(self, ty: str) -> str:
        return ty

    def get_current_target(self) -> GPUTarget:
        return TARGETS[self.target]

    def get_current_device(self) -> tuple[str, str]:
        return self.target, triton.knobs.cache.dir  # Triton keeps what it compiled per device: not of another cache

    def get_current_stream(self, _: object) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cuda", 0)

    def get_benchmarker(self) -> Callable:
        raise NotImplementedError("nothing is timed here")


class _Pointer:
    """A tensor without memory as Triton's compiler sees it: a dtype, an address and how far it reaches."""

    def __init__(self, tensor: Tensor) -> None:
        self.dtype = tensor.dtype
        self._offset = tensor.storage_offset() * tensor.element_size()
        self._bytes = tensor.untyped_storage().nbytes()

    def data_ptr(self) -> int:
        return int(2**20 + self._offset)  # what CUDA allocates begins at multiples of 512

    def ptr_range(self) -> int:
        return int(self._bytes)
