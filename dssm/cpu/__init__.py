# SPDX-License-Identifier: Apache-2.0
"""The C++ kernels: each module allocates the results of one op and hands arrays to the extension (csrc/bind.cpp)."""

from __future__ import annotations

import torch
from torch import Tensor

from dssm import _native

lib = _native.load()

# Positions are the values of `Type` in csrc/array.h.
TYPES = (torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64)
_CODES = {dtype: code for code, dtype in enumerate(TYPES)}


def array(tensor: Tensor | None) -> tuple | None:
    """What a kernel sees of a tensor; the caller keeps the tensor alive."""
    return None if tensor is None else (tensor.data_ptr(), _CODES[tensor.dtype], tensor.shape, tensor.stride())


def threads() -> int:
    """As many as torch's own operations use."""
    return torch.get_num_threads()
