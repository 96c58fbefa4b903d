# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from dssm import Detector, methods
from dssm.errors import InputError
from dssm.methods.patch_svdd import PatchSVDD, draw_patches, spread
from dssm.methods.patch_svdd_network import PatchEncoder
from dssm.settings import Settings


@pytest.fixture(scope="module")
def settings() -> Settings:
    return methods.defaults("patch_svdd").replace(size=(64, 96), batch=8, epochs=1)


@pytest.fixture(scope="module")
def wide(surfaces: Tensor) -> Tensor:
    return torch.cat([surfaces, surfaces[:, :, :, :32]], dim=3)


@pytest.mark.parametrize(("size", "stride", "grid"), [(32, 4, (9, 17)), (64, 16, (1, 3))])
def test_dense_features_are_those_of_single_patches(
    size: int, stride: int, grid: tuple[int, int], wide: Tensor
) -> None:
    torch.manual_seed(0)
    network = PatchEncoder().eval()
    dense = network.dense(wide[:2])[size]
    assert tuple(dense.shape) == (2, 64, *grid)
    y, x = grid[0] - 1, grid[1] - 2
    patch = wide[1:2, :, y * stride : y * stride + size, x * stride : x * stride + size]
    torch.testing.assert_close(dense[1, :, y, x], network(network.centered(patch))[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [32, 64])
def test_patches_lie_where_they_should(size: int) -> None:
    """On an image whose pixels hold their own coordinates."""
    rows, columns = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    images = torch.stack([rows, columns, rows]).expand(300, -1, -1, -1)
    patches, place = draw_patches(images, torch.arange(300), size, seed=0)
    assert patches.shape == (4, 300, 3, size, size)
    corner = patches[:, :, :2, 0, 0].permute(0, 2, 1)  # (4, rows and columns, 300)
    assert (corner >= 0).all()
    assert (corner <= 256 - size).all()
    inside = ((corner[:2] > 0) & (corner[:2] < 256 - size)).all(0).all(0)  # nothing was held back at a border
    away = (corner[1] - corner[0])[:, inside]
    direction = torch.tensor([(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]).T
    assert torch.equal(away.sign().long(), direction[:, place[inside]])
    far = away.abs()[away != 0]
    assert far.min() >= 3 * size // 4
    assert far.max() < size
    assert place.unique().tolist() == list(range(8))
    near = (corner[3] - corner[2]).abs()
    assert near.max() == size // 32
    assert (near.amax(0) > 0).float().mean() > 0.9

    alone, _ = draw_patches(images[5:6], torch.tensor([5]), size, seed=0)
    assert torch.equal(alone[:, 0], patches[:, 5])


def test_a_pixel_has_the_mean_of_its_patches() -> None:
    scores = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
    wanted, count = torch.zeros(2, 16, 20), torch.zeros(16, 20)
    for i in range(3):
        for j in range(4):
            wanted[:, 4 * i : 4 * i + 8, 4 * j : 4 * j + 8] += scores[:, i, j, None, None]
            count[4 * i : 4 * i + 8, 4 * j : 4 * j + 8] += 1
    torch.testing.assert_close(spread(scores, 8, 4), wanted / count)


def test_the_loss_falls(settings: Settings, wide: Tensor) -> None:
    torch.manual_seed(0)
    method = PatchSVDD(settings)
    method.prepare([wide])
    torch.testing.assert_close(method.network.mean.flatten(), wide.float().mean((0, 2, 3)))
    optimizer = torch.optim.Adam(method.network.parameters(), lr=1e-3)
    values = []
    for _ in range(6):
        terms = method.losses(wide[:6], torch.empty(0), torch.arange(6))
        assert set(terms) == {"position32", "svdd32", "position64", "svdd64"}
        loss = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]


def test_it_finds_a_scratch_saves_and_loads(settings: Settings, wide: Tensor, tmp_path: Path) -> None:
    detector = Detector(settings, device="cpu").fit(wide, progress=False)
    scratched = wide.clone()
    scratched[:, :, 20:26, 10:50] = 20
    good, bad = (np.array([p.score for p in detector.predict(images)]) for images in (wide, scratched))
    assert bad.min() > good.max()
    detector.save(tmp_path)
    loaded = Detector.load(tmp_path, device="cpu")
    for a, b in zip(detector.predict(scratched[:2]), loaded.predict(scratched[:2]), strict=True):
        assert a.score == b.score
        assert np.array_equal(a.map, b.map)


def test_small_images_and_foreign_weights_are_refused(settings: Settings, surfaces: Tensor) -> None:
    with pytest.raises(InputError, match="at least 64x64"):
        PatchSVDD(settings).prepare([surfaces[:, :, :32]])
    with pytest.raises(InputError, match="encoders of its own"):
        PatchSVDD(settings.replace(weights="imagenet")).load_weights()
