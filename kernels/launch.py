# SPDX-License-Identifier: Apache-2.0
"""How every kernel is launched."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
import triton
from triton.runtime import JITFunction, driver


def launch(
    kernel: Any,
    programs: int,
    *arguments: Any,
    warps: int = 4,
    stages: int = 2,
    registers: int | None = None,
    fuse: bool = False,
    **constants: Any,
) -> None:
    """Run a kernel on that many programs, on the current stream of its tensors' device; none where nothing is to do.

    Grids have one axis: it takes 2^31 - 1 programs, the others 65,535. Multiplications and additions are fused only
    where a kernel asks for it: then float32 results are those of the other backends, ties included. NVIDIA's assembler
    spills a little where that lets one more program run at a time; told how many `registers` a thread may take, it
    takes them.
    """
    if programs == 0:
        return
    device = next(value.device for value in arguments if isinstance(value, torch.Tensor))
    options = {"num_warps": warps, "num_stages": stages, "enable_fp_fusion": fuse}
    compiled = isinstance(kernel, JITFunction)  # not interpreted
    if registers is not None and compiled and driver.active.get_current_target().backend == "cuda":
        options["maxnreg"] = registers
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        kernel[(programs,)](*arguments, **constants, **options)


def tiles(size: int, block: int) -> int:
    """How many blocks cover a size."""
    return triton.cdiv(size, block)


def flat(*tensors: torch.Tensor | None) -> bool:
    """Whether in all of (..., H, W) the pixels of a plane lie evenly spaced, so that one index walks through them."""
    return all(x is None or x.stride(-2) == x.shape[-1] * x.stride(-1) or x.shape[-2] == 1 for x in tensors)
