# SPDX-License-Identifier: Apache-2.0
"""The C++ kernels: each module allocates the results of one op and hands pointers to `dssm._C`."""

from __future__ import annotations

import dssm._native as _native

lib = _native.load()
