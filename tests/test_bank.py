# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from dssm.scores import bank as banks
from dssm.scores.bank import Reservoir, coreset, nearest


def test_nearest_is_scikit_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(banks, "_DISTANCES", 100)  # several rounds
    generator = torch.Generator().manual_seed(0)
    x, bank = (torch.randn(count, 40, generator=generator) * 1e-3 + 5 for count in (50, 30))
    distances, numbers = NearestNeighbors(n_neighbors=1).fit(bank.numpy()).kneighbors(x.numpy())
    found = nearest(x, bank)
    np.testing.assert_allclose(found[0].numpy(), distances[:, 0], rtol=1e-3)
    assert np.array_equal(found[1].numpy(), numbers[:, 0])


def test_coreset_is_the_greedy_loop() -> None:
    x = torch.randn(80, 5, generator=torch.Generator().manual_seed(0)) + 3
    chosen = coreset(x, 12, seed=4).tolist()
    first = next(i for i in chosen if greedy(x, i, 12) == chosen)  # one of them was the random start
    assert first in chosen
    assert coreset(x, 200, seed=4).tolist() == list(range(80))


def greedy(x: torch.Tensor, start: int, count: int) -> list[int]:
    chosen = [start]
    while len(chosen) < count:
        chosen.append(int(torch.cdist(x, x[chosen]).min(1).values.argmax()))
    return sorted(chosen)


def test_projection_keeps_a_cover_nearly_as_good() -> None:
    x = torch.randn(400, 300, generator=torch.Generator().manual_seed(0)) * torch.linspace(3, 0, 300)

    def cover(chosen: torch.Tensor) -> float:
        return nearest(x, x[chosen])[0].max().item()

    whole, projected = coreset(x, 40, seed=0, dimensions=300), coreset(x, 40, seed=0, dimensions=64)
    assert not torch.equal(whole, projected)
    assert cover(projected) < 1.2 * cover(whole)


def test_a_reservoir_is_a_uniform_sample_of_its_stream() -> None:
    seen = np.zeros(100)
    for seed in range(300):
        reservoir = Reservoir(10, seed=seed)
        for part in torch.arange(100.0)[:, None].split(7):
            reservoir.update(part)
        vectors = reservoir.vectors()[:, 0]
        assert len(vectors) == 10
        assert (vectors.diff() > 0).all()  # in their order, none twice
        seen[vectors.long()] += 1
    # 30 each, with a binomial deviation of 5.2
    assert seen.min() > 8
    assert seen.max() < 55
    assert abs(seen[:50].sum() - 1500) < 120

    few = Reservoir(10, seed=0)
    few.update(torch.eye(3))
    assert torch.equal(few.vectors(), torch.eye(3))
