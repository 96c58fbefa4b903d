# SPDX-License-Identifier: Apache-2.0
"""Loads the C++ kernels of the best level of instructions that the processor has, sharing torch's OpenMP threads.

The extensions, that of CUDA among them, take tensors as `array` describes them.
"""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
from functools import cache
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from dssm.errors import BackendError

# What each level's code may use, best first; setup.py builds those that fit the machine's family.
LEVELS = {
    "avx512": {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma", "bmi2"},
    "avx2": {"avx2", "fma", "bmi2"},
    "neon": {"neon"},
    "scalar": set[str](),
}

# Positions are the values of `Type` in csrc/array.h.
TYPES = (torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64)
_CODES = {dtype: code for code, dtype in enumerate(TYPES)}


def array(tensor: Tensor | None) -> tuple | None:
    """What a kernel sees of a tensor; the caller keeps the tensor alive."""
    return None if tensor is None else (tensor.data_ptr(), _CODES[tensor.dtype], tensor.shape, tensor.stride())


@cache
def load() -> ModuleType:
    """The module `dssm._C_<level>`. Raises ImportError with the reason when it cannot be loaded.

    The environment variable DSSM_ISA names another level than the best: avx512, avx2, neon or scalar. One that cannot
    run is a BackendError, whatever backend was asked for.
    """
    return importlib.import_module(f"dssm._C_{level()}")


@cache
def level() -> str:
    """The level that runs. Raises BackendError when DSSM_ISA names one that cannot."""
    usable = levels()
    wanted = os.environ.get("DSSM_ISA") or usable[0]
    if wanted not in usable:
        raise BackendError(f"DSSM_ISA={wanted} cannot run here: choose {' or '.join(usable)}, or leave it unset")
    return wanted


@cache
def levels() -> list[str]:
    """The levels that were built and that this processor has, best first."""
    _share_openmp()
    present = set(features())
    return [
        name
        for name, needed in LEVELS.items()
        if needed <= present and importlib.util.find_spec(f"dssm._C_{name}") is not None
    ]


def features() -> list[str]:
    """The instruction sets of this processor that matter here."""
    _share_openmp()
    return importlib.import_module("dssm._C_scalar").features()


@cache
def _share_openmp() -> None:
    """The extension is linked without an OpenMP library of its own; torch's is made visible to it before it loads.

    With two of them in a process there would be two pools of threads that fight for the cores.
    """
    for library in sorted((Path(torch.__file__).parent / "lib").glob("lib*omp*")) or [Path("libgomp.so.1")]:
        try:
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue  # not an OpenMP library, or none needed: importing the extension tells
