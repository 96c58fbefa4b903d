# SPDX-License-Identifier: Apache-2.0
"""Loads the C++ extension so that it shares torch's OpenMP threads."""

from __future__ import annotations

import ctypes
import importlib
from functools import cache
from pathlib import Path
from types import ModuleType

import torch


@cache
def load() -> ModuleType:
    """The module `dssm._C`. Raises ImportError with the reason when it cannot be loaded.

    The extension is linked without an OpenMP library of its own. torch's is made visible to it first: with two of them
    in a process there would be two pools of threads that fight for the cores.
    """
    for library in sorted((Path(torch.__file__).parent / "lib").glob("lib*omp*")) or [Path("libgomp.so.1")]:
        try:
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)
        except OSError:
            continue  # not an OpenMP library, or none needed: importing the extension tells
    return importlib.import_module("dssm._C")
