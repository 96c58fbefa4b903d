# SPDX-License-Identifier: Apache-2.0
"""Runs the CUDA kernels on tensors of the CPU, one thread after the other, and checks every access to memory.

As a pytest plugin, `-p tests.gpu.emulator.emulator` with the library in the environment variable EMULATED_CUDA, it
makes "cuda" a backend of the CPU.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import itertools
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from dssm import backends
from dssm._native import TYPES

ORDERS = FORWARD, REVERSED, SHUFFLED = range(3)  # in which blocks and threads run; shuffled ones take turns

_numbers = itertools.count()


class KernelError(AssertionError):
    """What a launch did that no correct kernel does, a line per finding."""


class Emulator:
    """The kernels of a library that build.py made."""

    def __init__(self, library: Path) -> None:
        self.module = _load(library)
        self.accesses = 200_000_000  # that a launch may need before it is taken not to end
        self.schedules = itertools.cycle([(order, 0) for order in ORDERS])
        self._library = library
        self._control = ctypes.CDLL(str(library))
        self._control.emulator_take_findings.restype = ctypes.c_char_p

    def launch(self, kernel: Callable, _: torch.device, *arguments: Any) -> None:
        """In place of dssm.cuda.launch. Raises KernelError if there were any."""
        order, seed = next(self.schedules)
        self._control.emulator_schedule(order, seed, ctypes.c_long(self.accesses))
        self._control.emulator_forget_regions()
        for position, argument in enumerate(arguments):
            if isinstance(argument, tuple) and len(argument) == 4:
                self._add_region(f"argument {position}", *argument)
        failure = None
        try:
            kernel(*arguments, 0, 0)
        except RuntimeError as error:  # a launch that was given up
            failure = error
        if findings := self._control.emulator_take_findings().decode():
            raise KernelError(re.sub(r" at \+(0x[0-9a-f]+)", self._line, findings)) from failure
        if failure:
            raise failure

    def _add_region(self, name: str, address: int, dtype: int, size: tuple, stride: tuple) -> None:
        if 0 in size:
            return
        item = TYPES[dtype].itemsize
        last = sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        self._control.emulator_add_region(
            name.encode(), ctypes.c_void_p(address), ctypes.c_size_t((last + 1) * item), ctypes.c_size_t(item)
        )

    def _line(self, found: re.Match) -> str:
        command = ["addr2line", "-e", str(self._library), found[1]]
        where = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]
        return f", {Path(where).name}"


@contextmanager
def lent(emulator: Emulator) -> Iterator[ModuleType]:
    """dssm.cuda.paste, of a dssm.cuda whose kernels run in the emulator.

    "cuda" is then a backend of the CPU, one that is taken only where it is asked for.
    """
    names = "dssm._C_cuda", "dssm.cuda", "dssm.cuda.paste"
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    order = backends._DEVICES["cpu"]
    backends._DEVICES["cpu"] = ("cpu", "cuda", "reference")
    sys.modules["dssm._C_cuda"] = emulator.module
    try:
        importlib.import_module("dssm.cuda").launch = emulator.launch  # type: ignore[attr-defined]
        yield importlib.import_module("dssm.cuda.paste")
    finally:
        backends._DEVICES["cpu"] = order
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


def _load(library: Path) -> ModuleType:
    name = f"emulated{next(_numbers)}._C_cuda"  # pybind11 keeps modules by name
    spec = importlib.util.spec_from_file_location(name, library)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pytest_configure(config: Any) -> None:
    """The plugin."""
    stack = ExitStack()
    stack.enter_context(lent(Emulator(Path(os.environ["EMULATED_CUDA"]))))
    config.add_cleanup(stack.close)
