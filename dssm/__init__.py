# SPDX-License-Identifier: Apache-2.0
"""Surface defect detection after training on good images only."""
from __future__ import annotations

__version__ = "0.1.0"
