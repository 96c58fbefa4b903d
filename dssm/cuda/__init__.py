# SPDX-License-Identifier: Apache-2.0
"""The CUDA C++ kernels: each module allocates the results of one op and launches its kernel (csrc/cuda/bind.cpp)."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch

try:
    lib = importlib.import_module("dssm._C_cuda")
except ModuleNotFoundError as error:
    raise ImportError(
        "the CUDA kernels were not built; install dssm again where nvcc is found, "
        "with DSSM_BUILD_CUDA=1 to be told what is in the way"
    ) from error

if reason := lib.unusable():
    raise ImportError(f"the CUDA kernels, built for {lib.architectures}, cannot run: {reason}")


def launch(kernel: Callable, device: torch.device, *arguments: Any) -> None:
    """Run a kernel on torch's current stream of the device."""
    with torch.cuda.device(device):
        kernel(*arguments, device.index, torch.cuda.current_stream(device).cuda_stream)
