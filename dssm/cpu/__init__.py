# SPDX-License-Identifier: Apache-2.0
"""The C++ kernels: each module allocates the results of one op and hands arrays to the extension (csrc/bind.cpp)."""

from __future__ import annotations

import torch

from dssm import _native
from dssm._native import array as array

lib = _native.load()


def threads() -> int:
    """As many as torch's own operations use."""
    return torch.get_num_threads()
