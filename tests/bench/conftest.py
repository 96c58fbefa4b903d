# SPDX-License-Identifier: Apache-2.0
"""The benches need their peers; without them these tests are skipped."""

from __future__ import annotations

from types import ModuleType

import pytest

from dssm.cli.bench import module


@pytest.fixture(scope="session")
def report() -> ModuleType:
    return module("report")


@pytest.fixture(scope="session")
def noise_peers() -> ModuleType:
    pytest.importorskip("cv2")
    pytest.importorskip("scipy")
    return module("noise_peers")
