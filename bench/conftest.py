# SPDX-License-Identifier: Apache-2.0
"""Ours and the peers in one run, on the same inputs, one thread each."""

from __future__ import annotations

import numpy as np
import pytest
import torch

BATCH = 32


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    """(B, 3, 128, 64) uint8: smooth shapes with grain, as photographs have both."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (BATCH, 3, 16, 8)).repeat(8, 2).repeat(8, 3)
    return np.clip(coarse + rng.normal(0, 8, coarse.shape), 0, 255).astype(np.uint8)
