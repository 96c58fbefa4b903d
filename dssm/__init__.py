# SPDX-License-Identifier: Apache-2.0
"""Surface defect detection after training on good images only."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

# Threads that spin while they wait slow the one that works, and other programs by far more. OpenMP reads this when
# PyTorch is first imported: where that was before, nothing changes.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
__all__ = ["Detector", "InputError", "Settings", "__version__"]

if TYPE_CHECKING:
    from dssm.detector import Detector
    from dssm.errors import InputError
    from dssm.settings import Settings


def __getattr__(name: str) -> Any:
    """Loads what is asked for: whoever imports `dssm.ops` alone does not load the detector."""
    import importlib

    homes = {"Detector": "dssm.detector", "InputError": "dssm.errors", "Settings": "dssm.settings"}
    if name in homes:
        return getattr(importlib.import_module(homes[name]), name)
    raise AttributeError(f"module 'dssm' has no attribute {name!r}")
