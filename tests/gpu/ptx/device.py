# SPDX-License-Identifier: Apache-2.0
"""A device made of NumPy: ops on CPU tensors launch their Triton kernels, and get what the compiled PTX computes."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from triton.runtime.jit import JITFunction

from dssm import backends, kernels
from dssm.cli.bench import module

from .parse import parse
from .run import Pointer, run

capture = module("capture")
_SCALARS = {"fp32": np.float32, "fp64": np.float64, "i1": np.uint8, "u1": np.uint8}


@contextmanager
def numpy_device(edit: Callable[[str], str] | None = None) -> Iterator[list[str]]:
    """Inside, backend "triton" runs on CPU tensors: a launch compiles for sm_80 and executes the PTX at once.

    Yields the names of the kernels that ran. What torch.empty allocates is filled with NaN and the largest integers
    first. `edit` changes the PTX.
    """
    ran: list[str] = []

    def execute(launch: Any) -> None:
        (programs,) = launch.grid
        ptx = launch.compiled.asm["ptx"]
        arguments = [_parameter(type, value) for type, value in launch.arguments]
        run(parse(edit(ptx) if edit else ptx), programs, arguments, launch.compiled.metadata.shared)
        ran.append(launch.kernel)

    before = torch.are_deterministic_algorithms_enabled()
    torch._C._set_deterministic_algorithms(True)  # fills what is allocated; the public one imports the compiler
    try:
        with capture.capturing("sm_80", execute), patch.dict(backends._DEVICES, cpu=("triton", "reference")):
            yield ran
    finally:
        torch._C._set_deterministic_algorithms(before)
        backends._choose.cache_clear()


def kernels_of(op: str) -> set[str]:
    """The names of all kernels in the files of an op."""
    found = set()
    for file in pkgutil.iter_modules(kernels.__path__):
        if file.name.partition("_")[0] == op:
            members = vars(importlib.import_module(f"{kernels.__name__}.{file.name}"))
            found |= {name for name, value in members.items() if isinstance(value, JITFunction)}
    return {name for name in found if name.endswith("_kernel")}


def _parameter(type: str, value: Any) -> Pointer | int:
    if type.startswith("*"):
        return Pointer(value.data_ptr(), _span(value))
    if kind := _SCALARS.get(type):
        bits = np.array([value], kind)
        return int(bits.view(f"u{bits.itemsize}")[0])
    return int(value) & (2 ** int(type[1:]) - 1)


def _span(tensor: torch.Tensor) -> int:
    """Bytes from the first element to the end of the last one."""
    if tensor.numel() == 0:
        return 0
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return (last + 1) * tensor.element_size()
