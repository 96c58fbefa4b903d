# SPDX-License-Identifier: Apache-2.0
"""What a result was computed on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

import dssm

_LIBRARIES = ("torch", "numpy", "pillow", "scikit-image")  # the builtin textures hold photographs of scikit-image


def machine(device: torch.device) -> dict[str, Any]:
    """Processor, cores, threads, and the GPU if one computes."""
    found: dict[str, Any] = {"cpu": _processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}
    return found | ({"gpu": torch.cuda.get_device_name(device)} if device.type == "cuda" else {})


def versions() -> dict[str, str]:
    """Of Python, this package and the libraries that results depend on."""
    found = {"dssm": dssm.__version__, "python": platform.python_version()}
    for name in _LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _processor() -> str:
    """Its name as Linux knows it, elsewhere what Python knows."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
