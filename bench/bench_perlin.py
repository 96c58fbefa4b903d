# SPDX-License-Identifier: Apache-2.0
"""Perlin noise, alone and with what follows it in PasteNoise: the threshold and the largest component.

The noise libraries make one plane of unrotated noise of one frequency per image, which is less than ours does.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dssm import ops

from . import noise_peers
from .conftest import Timed, name_of, role_of
from .floors import memcpy

SIZE = (256, 256)
NOISE, MASK = "noise 256x256", "noise, threshold, component 256x256"


def bench_dssm(timed: Timed, batch: int, backend: str) -> None:
    index = torch.arange(batch)
    timed(NOISE, name_of(backend), lambda: ops.perlin(index, SIZE, seed=0, backend=backend), role_of(backend))


def bench_dssm_mask(timed: Timed, batch: int, backend: str) -> None:
    index = torch.arange(batch)

    def masks() -> torch.Tensor:
        noise = ops.perlin(index, SIZE, seed=0, backend=backend)
        return ops.component(noise > 0.5, backend=backend)

    timed(MASK, name_of(backend), masks, role_of(backend))


def bench_dssm_fused_mask(timed: Timed, batch: int) -> None:
    """The masks that paste draws, noise never written; pasting one grey byte per pixel comes on top."""
    index, blank = torch.arange(batch), torch.zeros(batch, 1, *SIZE, dtype=torch.uint8)
    timed(MASK, "dssm, in paste", lambda: ops.paste(blank, blank, index, seed=0, backend="cpu")[1], "ours")


def bench_draem(timed: Timed, batch: int) -> None:
    rng = np.random.default_rng(0)
    timed(NOISE, "DRAEM in NumPy", lambda: [noise_peers.perlin(SIZE, rng) for _ in range(batch)], "rival")


def bench_tuned_numpy(timed: Timed, batch: int) -> None:
    rng, tuned = np.random.default_rng(0), noise_peers.tuned_noise
    timed(NOISE, "NumPy, tuned", lambda: [noise_peers.perlin(SIZE, rng, lattice=tuned) for _ in range(batch)])


def bench_draem_mask(timed: Timed, batch: int) -> None:
    rng = np.random.default_rng(0)
    timed(MASK, "DRAEM in NumPy", lambda: [noise_peers.noise_mask(SIZE, rng) for _ in range(batch)], "rival")


def bench_fastnoisesimd(timed: Timed, batch: int, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("pyfastnoisesimd")
    monkeypatch.setattr(np, "product", np.prod, raising=False)  # gone since NumPy 2, still called
    noise = library.Noise(seed=0, numWorkers=threads)
    noise.noiseType, noise.frequency = library.NoiseType.Perlin, 8 / SIZE[0]
    timed(NOISE, "pyfastnoisesimd (3-D)", lambda: noise.genAsGrid([batch, *SIZE]))


def bench_fastnoiselite(timed: Timed, batch: int) -> None:
    library = pytest.importorskip("pyfastnoiselite.pyfastnoiselite")
    noise = library.FastNoiseLite(0)
    noise.noise_type, noise.frequency = library.NoiseType.NoiseType_Perlin, 8 / SIZE[0]
    places = np.indices(SIZE, np.float32).reshape(2, -1)
    timed(NOISE, "pyfastnoiselite", lambda: [noise.gen_from_coords(places) for _ in range(batch)])


def bench_memcpy(timed: Timed, batch: int) -> None:
    timed(NOISE, "memcpy", memcpy(batch * SIZE[0] * SIZE[1] * 4), "floor")


def bench_memcpy_mask(timed: Timed, batch: int) -> None:
    timed(MASK, "memcpy", memcpy(batch * SIZE[0] * SIZE[1]), "floor")
