# SPDX-License-Identifier: Apache-2.0
"""The ops: one module, one function and one word each. `backend=` and DSSM_BACKEND choose who computes."""
from __future__ import annotations

from dssm.ops.component import component
from dssm.ops.hog import hog
from dssm.ops.mahalanobis import mahalanobis
from dssm.ops.mscm import mscm

__all__ = ["component", "hog", "mahalanobis", "mscm"]
