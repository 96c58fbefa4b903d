# SPDX-License-Identifier: Apache-2.0
"""The ops: one module, one function and one word each. `backend=` and DSSM_BACKEND choose who computes."""
from __future__ import annotations

from dssm.ops.component import component

__all__ = ["component"]
