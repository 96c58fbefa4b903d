# SPDX-License-Identifier: Apache-2.0
"""The Triton kernels, installed as `dssm.kernels`: a module allocates the results of an op and launches its kernels.

Names within a kernel: `i_` for a program's place, `b_` for a block of values, `p_` for pointers, `m_` for masks, `s_`
for strides; constants of the compiler are in capitals.
"""

from __future__ import annotations

if __name__ != "dssm.kernels":
    raise ImportError(f"import dssm.kernels, not {__name__}: another package is called 'kernels'")

try:
    import triton  # noqa: F401
except ImportError as error:
    raise ImportError('triton is not installed; on Linux: pip install "dssm-surface[gpu]"') from error
