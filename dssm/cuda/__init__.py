# SPDX-License-Identifier: Apache-2.0
"""The CUDA C++ kernels."""

from __future__ import annotations

raise ImportError("this build has no CUDA kernels")
