# SPDX-License-Identifier: Apache-2.0
"""The Triton kernels, installed as `dssm.kernels`."""

from __future__ import annotations

if __name__ != "dssm.kernels":
    raise ImportError(f"import dssm.kernels, not {__name__}: another package is called 'kernels'")
raise ImportError("there are no Triton kernels yet")
