# SPDX-License-Identifier: Apache-2.0
"""A trained detector as one ONNX file that runs without torch, and the proof that both say the same."""

from __future__ import annotations

from dssm.export.parity import Parity, verify
from dssm.export.session import Exported
from dssm.export.write import export

__all__ = ["Exported", "Parity", "export", "verify"]
