# SPDX-License-Identifier: Apache-2.0
"""Dry launches: the wrappers of the Triton kernels run whole, and what they launch is compiled, but not executed.

    python -m dssm.bench.compiled sm_80 gfx942 --op blend --out report.json

Needs no GPU. The wrappers see tensors without memory, so one that waits for values is an error; the compiler is the one
that a user's GPU would call, with the specialisation, options and grid of the launch.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import io
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
import triton
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase
from triton.backends.nvidia.compiler import CUDABackend
from triton.runtime import driver
from triton.runtime.jit import JITFunction

from dssm import backends

from . import cases, sass

TARGETS = {
    "sm_75": GPUTarget("cuda", 75, 32),
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "sm_120": GPUTarget("cuda", 120, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
DISASSEMBLED = (80, 90)  # the others would say no more, and take long
PATIENCE = 120  # seconds for one kernel


class HostSyncError(AssertionError):
    """A wrapper waits for the device."""


@dataclass
class Launch:
    """A kernel as a wrapper, of the forward pass or of the backward, launched it, compiled for a target."""

    kernel: str
    grid: tuple[int, ...]
    compiled: Any
    backward: bool = False

    def report(self) -> dict[str, Any]:
        """What its compilers said of it: registers and bytes spilled per thread, bytes of shared memory per program."""
        metadata = self.compiled.metadata
        report = {"kernel": self.kernel, "backward": self.backward, "grid": self.grid}
        report |= {"warps": metadata.num_warps, "shared": metadata.shared}
        if "amdgcn" in self.compiled.asm:
            return {**report, **_amd(self.compiled.asm["amdgcn"])}
        return {**report, "registers": metadata.registers, "spills": metadata.spills, **metadata.sass}


@contextmanager
def dry(target: str) -> Iterator[list[Launch]]:
    """Inside, ops with backend "triton" take CPU tensors and compile for the target; yields the list of launches.

    Their results are zeros.
    """
    launches: list[Launch] = []
    with ExitStack() as stack:
        stack.enter_context(_active(_Driver(target)))
        stack.enter_context(patch.object(JITFunction, "run", _compiling(JITFunction.run, launches)))
        stack.enter_context(patch.object(CUDABackend, "make_cubin", _telling(CUDABackend.make_cubin)))
        stack.enter_context(patch.object(backends, "choose", lambda op, *_: ("triton", _on_the_device(op, launches))))
        yield launches


def report(target: str, ops: Sequence[str], usual: bool = False) -> list[dict[str, Any]]:
    """A row per launch of every case, or every usual case, of the ops."""
    rows = []
    for op in ops:
        for case in [case for case in cases.of(op) if case.usual or not usual]:
            with dry(target) as launches:
                case.run("triton")
            rows += [{"target": target, "op": op, "case": case.name, **launch.report()} for launch in launches]
    return rows


def use_own_cache() -> None:
    """What something else compiled, or an older version of this file, lacks what is kept here of a kernel."""
    version = hashlib.sha256(
        b"".join(Path(str(module.__file__)).read_bytes() for module in (sass, sys.modules[__name__]))
    )
    triton.knobs.cache.dir = os.path.join(triton.knobs.cache.home_dir, ".triton", f"dssm-{version.hexdigest()[:12]}")


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

    def get_current_device(self) -> int:
        return list(TARGETS).index(self.target)  # Triton keeps what it compiled per device

    def get_current_stream(self, _: int) -> int:
        return 0

    def get_active_torch_device(self) -> torch.device:
        return torch.device("cuda", 0)

    def get_benchmarker(self) -> Callable:
        raise NotImplementedError("nothing is timed here")


@contextmanager
def _active(fake: _Driver) -> Iterator[None]:
    before = driver._active
    driver.set_active(fake)
    try:
        yield
    finally:
        driver._active = before


class _NoWaiting(TorchDispatchMode):
    """Refuses what depends on values that are on the device, and copies between host and device."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape} & set(function.tags):
            raise HostSyncError(f"{function} waits for what the device computes")
        try:
            result = function(*args, **(kwargs or {}))
        except NotImplementedError as error:
            raise HostSyncError(f"{function}: {error}") from error
        given, made = (
            {x.device.type for x in tree_leaves(values) if isinstance(x, Tensor) and x.ndim}
            for values in ((args, kwargs), result)
        )
        if given and made and given != made:
            raise HostSyncError(f"{function} copies from {', '.join(given)} to {', '.join(made)}")
        return result


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


def _on_the_device(op: str, launches: list[Launch]) -> SimpleNamespace:
    """The wrappers of an op, which see tensors without memory for CPU tensors, and return zeros."""
    module = backends.load(op, "triton")
    wrappers = {op: faked(getattr(module, op))}
    if backward := getattr(module, f"{op}_backward", None):
        wrappers[f"{op}_backward"] = _marking(faked(backward), launches)
    return SimpleNamespace(**wrappers)


def _marking(wrapper: Callable, launches: list[Launch]) -> Callable:
    """The wrapper, whose launches are marked as the backward pass's."""

    def marking(*arguments: Any) -> Any:
        first = len(launches)
        result = wrapper(*arguments)
        for launch in launches[first:]:
            launch.backward = True
        return result

    return marking


def faked(wrapper: Callable) -> Callable:
    """A wrapper that takes CPU tensors, sees tensors without memory, and returns zeros."""

    def faked(*arguments: Any) -> Any:
        with _NoWaiting():
            result = wrapper(*tree_map_only(Tensor, _fake, arguments))
        return tree_map_only(
            Tensor, lambda x: torch.zeros(x.shape, dtype=x.dtype).as_strided(x.shape, x.stride()), result
        )

    return faked


def _fake(tensor: Tensor) -> Tensor:
    """The same shape, strides and alignment without memory."""
    reach = tensor.untyped_storage().nbytes() // tensor.element_size()
    memory = torch.empty(reach, dtype=tensor.dtype, device="meta")
    return memory.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset())


def _compiling(original: Callable, launches: list[Launch]) -> Callable:
    def run(kernel: Any, *arguments: Any, grid: Any, **options: Any) -> Any:
        pointers = [_Pointer(value) if isinstance(value, Tensor) else value for value in arguments]
        print(f"compiling {kernel.fn.__name__}", file=sys.stderr, flush=True)
        faulthandler.dump_traceback_later(PATIENCE, exit=True)
        try:
            compiled = original(kernel, *pointers, grid=grid, **{**options, "warmup": True})
        finally:
            faulthandler.cancel_dump_traceback_later()
        launches.append(Launch(kernel.fn.__name__, tuple(grid), compiled))
        return compiled

    return run


def _telling(original: Callable) -> Callable:
    """The last step of compiling, which also keeps what is said of the result, so that Triton's cache keeps it too."""

    def make_cubin(backend: Any, source: str, metadata: dict, *rest: Any) -> bytes:
        with triton.knobs.nvidia.scope(), redirect_stdout(io.StringIO()) as log:
            triton.knobs.nvidia.dump_ptxas_log = True
            cubin = original(backend, source, metadata, *rest)
        said = log.getvalue()
        metadata["registers"] = int(re.findall(r"Used (\d+) registers", said)[0])
        metadata["spills"] = sum(map(int, re.findall(r"(\d+) bytes spill", said)))
        metadata["sass"] = sass.count(cubin) if backend.target.arch in DISASSEMBLED else {}
        return cubin

    return make_cubin


def _amd(assembly: str) -> dict[str, int]:
    """Registers and spills as the assembly's own notes give them."""
    notes = {key: int(value) for key, value in re.findall(r"\.([sv]gpr_\w*count):\s*(\d+)", assembly)}
    return {"registers": notes["vgpr_count"], "spills": notes["vgpr_spill_count"] + notes["sgpr_spill_count"]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dssm.bench.compiled", description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="+", choices=TARGETS)
    parser.add_argument("--op", action="append", help="only this op; repeatable")
    parser.add_argument("--usual", action="store_true", help="only bytes and float32, contiguous")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    use_own_cache()
    rows = [
        row for target in options.targets for row in report(target, options.op or cases.kernel_ops(), options.usual)
    ]
    options.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
