# SPDX-License-Identifier: Apache-2.0
"""Dry launches: the wrappers of the Triton kernels run whole, and what they launch is compiled, but not executed.

    python -m dssm.bench.compiled sm_80 gfx942 --op blend --out report.json

Needs no GPU. The wrappers see tensors without memory, so one that waits for values is an error; the compiler is the one
that a user's GPU would call, with the specialisation, options and grid of the launch.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from triton.runtime.jit import JITFunction

from dssm import backends

from . import cases
from .capture import TARGETS, Launch, capturing
from .kept import keeping


class HostSyncError(AssertionError):
    """A wrapper waits for the device."""


@dataclass
class DryLaunch:
    """A launch, of the forward pass or of the backward."""

    launch: Launch
    backward: bool = False

    def report(self) -> dict[str, Any]:
        """What its compilers said of it: registers and bytes spilled per thread, bytes of shared memory per program."""
        metadata, assembly = self.launch.compiled.metadata, self.launch.compiled.asm
        report = {"kernel": self.launch.kernel, "backward": self.backward, "grid": self.launch.grid}
        report |= {"warps": metadata.num_warps, "shared": metadata.shared}
        if "amdgcn" in assembly:
            return {**report, **_amd(assembly["amdgcn"])}
        return {**report, "registers": metadata.registers, "spills": metadata.spills, **metadata.sass}


@contextmanager
def dry(target: str) -> Iterator[list[DryLaunch]]:
    """Inside, ops with backend "triton" take CPU tensors and compile for the target; yields the list of launches.

    Their results are zeros.
    """
    launches: list[DryLaunch] = []
    with (
        keeping(),
        capturing(target, lambda launch: launches.append(DryLaunch(launch))),
        patch.object(backends, "choose", lambda op, *_: ("triton", _on_the_device(op, launches))),
    ):
        yield launches


def report(target: str, ops: Sequence[str], usual: bool = False, once: bool = False) -> list[dict[str, Any]]:
    """A row per launch of every case, or every usual case, of the ops; or, `once`, only of the first of each kernel."""
    rows = []
    compiled: set[str] = set()
    for op in ops:
        for case in [case for case in cases.of(op) if case.usual or not usual]:
            with dry(target) as launches, _leaving_out(compiled) if once else nullcontext():
                case.run("triton")
            rows += [{"target": target, "op": op, "case": case.name, **launch.report()} for launch in launches]
    return rows


@contextmanager
def _leaving_out(compiled: set[str]) -> Iterator[None]:
    """Inside, launches of these kernels do nothing; those of others join them."""
    original = JITFunction.run

    def run(kernel: Any, *arguments: Any, **options: Any) -> Any:
        name = kernel.fn.__name__
        if name in compiled:
            return None
        compiled.add(name)
        return original(kernel, *arguments, **options)

    with patch.object(JITFunction, "run", run):
        yield


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


def _on_the_device(op: str, launches: list[DryLaunch]) -> SimpleNamespace:
    """The wrappers of an op, which see tensors without memory for CPU tensors, and return zeros."""
    module = backends.load(op, "triton")
    wrappers = {op: faked(getattr(module, op))}
    if backward := getattr(module, f"{op}_backward", None):
        wrappers[f"{op}_backward"] = _marking(faked(backward), launches)
    return SimpleNamespace(**wrappers)


def _marking(wrapper: Callable, launches: list[DryLaunch]) -> Callable:
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


def _amd(assembly: str) -> dict[str, int]:
    """Registers and spills as the assembly's own notes give them."""
    notes = {key: int(value) for key, value in re.findall(r"\.([sv]gpr_\w*count):\s*(\d+)", assembly)}
    return {"registers": notes["vgpr_count"], "spills": notes["vgpr_spill_count"] + notes["sgpr_spill_count"]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m dssm.bench.compiled", description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="+", choices=TARGETS)
    parser.add_argument("--op", action="append", help="only this op; repeatable")
    parser.add_argument("--usual", action="store_true", help="only bytes and float32, contiguous")
    parser.add_argument("--once", action="store_true", help="each kernel once, as the first case launches it")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    ops = options.op or cases.kernel_ops()
    rows = [row for target in options.targets for row in report(target, ops, options.usual, options.once)]
    options.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
