# SPDX-License-Identifier: Apache-2.0
"""When bfloat16 is worth it."""

from __future__ import annotations

import torch

from dssm import _native


def uses_bfloat16(device: torch.device, precision: str) -> bool:
    """Whether to autocast: asked for, or `auto` on a GPU or a processor that multiplies bfloat16 in hardware."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        return "avx512bf16" in _native.features()
    except ImportError:
        return False  # without the extension nobody looks at the processor


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context in which the network runs."""
    enabled = uses_bfloat16(device, precision)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
