# SPDX-License-Identifier: Apache-2.0
"""The network of the paper, a file per piece."""

from __future__ import annotations

from dssm.model.network import Network, Output

__all__ = ["Network", "Output"]
