# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dssm.latency import Latency


def test_images_of_a_batch_wait_for_all_of_it() -> None:
    latency = Latency()
    latency.add(1, 0.1)
    latency.add(3, 0.3)
    assert str(latency) == "scored 10.0 images/s; from file to score 300 ms (p50), 300 ms (p95)"


def test_nothing_scored_is_said() -> None:
    assert str(Latency()) == "no image was scored"
