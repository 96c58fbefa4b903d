# SPDX-License-Identifier: Apache-2.0
"""The training loop, its batches, its losses and its checkpoints."""

from __future__ import annotations

from dssm.training.loop import Interrupted, train

__all__ = ["Interrupted", "train"]
