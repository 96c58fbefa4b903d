# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter
from sklearn.covariance import OAS, oas

from dssm.errors import InputError
from dssm.methods.dssm import DSSM
from dssm.scores import Gaussian, Moments
from dssm.scores.bank import RIDGE, Reservoir, make_bank, usual_at
from dssm.scores.gaussian import oas_shrinkage
from dssm.scores.lowering import lowered, quiet
from dssm.scores.maps import enlarge, gaussian_blur
from dssm.scores.scorer import Scorer
from dssm.scores.trust import deface, trust
from dssm.settings import preset


def correlated(count: int, channels: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(channels, channels, generator=generator, dtype=torch.float64)
    return torch.randn(count, channels, generator=generator, dtype=torch.float64) @ mixing + 100


def test_streaming_equals_one_pass() -> None:
    x = correlated(101, 7)
    parts = Moments()
    for part in x.split([1, 0, 40, 60]):
        parts.update(part)
    assert parts.count == 101
    torch.testing.assert_close(parts.mean, x.mean(0), rtol=1e-12, atol=0)
    torch.testing.assert_close(parts.scatter / 100, torch.cov(x.T), rtol=1e-10, atol=1e-10)


def test_merge_in_any_order_is_the_same() -> None:
    x = correlated(90, 5)
    left, right, whole = Moments(), Moments(), Moments()
    left.update(x[:30])
    right.update(x[30:])
    whole.update(x)
    right.merge(left)
    torch.testing.assert_close(right.scatter, whole.scatter, rtol=1e-11, atol=1e-9)
    torch.testing.assert_close(right.mean, whole.mean, rtol=1e-13, atol=0)


def test_shrinkage_is_scikit_learns() -> None:
    x = correlated(20, 12).numpy()
    covariance, amount = oas(x)
    moments = Moments()
    moments.update(torch.from_numpy(x))
    assert moments.scatter is not None
    found = oas_shrinkage(moments.scatter / 20, 20)
    assert found.item() == pytest.approx(amount, rel=1e-10)
    whiten = moments.gaussian().whiten.double()
    np.testing.assert_allclose((whiten.T @ whiten).numpy(), np.linalg.inv(covariance), rtol=2e-4, atol=1e-6)


def test_distance_is_scikit_learns() -> None:
    x = correlated(60, 6)
    moments = Moments()
    moments.update(x)
    wanted = np.sqrt(OAS().fit(x.numpy()).mahalanobis(x.numpy()))
    np.testing.assert_allclose(moments.gaussian().distance(x.float()).numpy(), wanted, rtol=1e-3)


def test_positions_are_independent() -> None:
    x = torch.randn(30, 4, 2, 3, generator=torch.Generator().manual_seed(1))
    together = Moments()
    together.update(x[:10])
    together.update(x[10:])
    field = together.gaussian()
    assert field.mean.shape == (2, 3, 4)
    alone = Moments()
    alone.update(x[:, :, 1, 2])
    single = alone.gaussian()
    torch.testing.assert_close(field.distance(x)[:, 1, 2], single.distance(x[:, :, 1, 2]), rtol=1e-4, atol=1e-5)


def test_a_constant_channel_gives_finite_distances() -> None:
    x = correlated(40, 5).float()
    x[:, 2] = 7
    moments = Moments()
    moments.update(x)
    distances = moments.gaussian().distance(x)
    assert distances.isfinite().all()


def test_too_few_or_broken_features_are_refused() -> None:
    moments = Moments()
    moments.update(torch.randn(1, 3))
    with pytest.raises(InputError, match="at least 2"):
        moments.gaussian()
    moments.update(torch.full((2, 3), torch.nan))
    with pytest.raises(InputError, match="not finite"):
        moments.gaussian()


@pytest.mark.parametrize("size", [(40, 30), (3, 50), (1, 1)])
def test_blur_is_scipys(size: tuple[int, int]) -> None:
    maps = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    wanted = np.stack([gaussian_filter(m, 2.5, mode="reflect", truncate=4.0) for m in maps.numpy()])
    np.testing.assert_allclose(gaussian_blur(maps, 2.5).numpy(), wanted, atol=1e-6)
    assert gaussian_blur(maps, 0.0) is maps


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (61, 37), (4, 5)])
@pytest.mark.parametrize("smooth", [0.0, 4.0, 40.0])
def test_one_product_per_axis_interpolates_and_blurs(size: tuple[int, int], smooth: float) -> None:
    coarse = torch.randn(3, 8, 6, generator=torch.Generator().manual_seed(0))
    fine = F.interpolate(coarse[:, None], size=size, mode="bilinear", align_corners=False)[:, 0]
    expected = gaussian_blur(fine, smooth * size[0] / 256)
    torch.testing.assert_close(enlarge(coarse, size, smooth), expected, rtol=1e-5, atol=1e-5)


def test_gaussian_holds_float32() -> None:
    moments = Moments()
    moments.update(correlated(20, 3))
    gaussian = moments.gaussian()
    assert isinstance(gaussian, Gaussian)
    assert gaussian.mean.dtype == gaussian.whiten.dtype == torch.float32


def test_the_bank_measures_mahalanobis_distances_to_the_nearest() -> None:
    good = correlated(300, 6).float()
    sample = Reservoir(1000, seed=0)
    sample.update(good)
    bank = make_bank(sample, 300, (1, 1), seed=0)  # all of them
    covariance = np.cov(good.numpy().astype(np.float64).T)
    inverse = np.linalg.inv(covariance + RIDGE * np.trace(covariance) / 6 * np.eye(6))
    x = correlated(4 * 5, 6, seed=1).float()
    apart = x.numpy()[:, None] - good.numpy()
    wanted = np.sqrt(np.einsum("nmc,cd,nmd->nm", apart, inverse, apart).min(1))
    found = bank.distance(bank.whitened(x.reshape(2, 2, 5, 6)))
    np.testing.assert_allclose(found.flatten().numpy(), wanted, rtol=0.01, atol=0.01)
    assert bank.distance(bank.whitened(good[:10].reshape(1, 2, 5, 6))).max() < 0.05


def test_large_images_have_no_more_gaussians_than_fit_a_model() -> None:
    scorer = Scorer(preset("quick"), (4, 8, 16, 32))
    scorer.channels = torch.arange(28)
    for (height, width), grid in {(256, 512): (32, 64), (384, 384): (24, 24), (328, 800): (21, 50)}.items():
        stages = [torch.zeros(1, 4 << k, height >> k + 2, width >> k + 2) for k in range(4)]
        assert scorer._position_features(stages).shape == (1, 28, *grid)


def test_the_bank_knows_what_is_usual_at_every_place() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = torch.full((12, 20), 0.5)
    spread[:, 10:] = 4.0
    values = 10 + torch.randn(400, 12, 20, generator=generator) * spread
    mean, deviation = usual_at(values.flatten(), torch.arange(12 * 20).repeat(400), (12, 20))
    away = torch.tensor([*range(6), *range(14, 20)])  # smoothing mixes both sides near the border
    torch.testing.assert_close(deviation[:, away], spread[:, away], rtol=0.15, atol=0)
    torch.testing.assert_close(mean, torch.full_like(mean, 10.0), rtol=0.03, atol=0)
    few = usual_at(torch.tensor([1.0, 3.0]), torch.tensor([0, 0]), (8, 8))  # most places have seen nothing
    torch.testing.assert_close(few[:, 7, 7], torch.tensor([2.0, 1.0]))


def test_a_place_that_always_varies_is_not_strange() -> None:
    """Good images are busy on the right: there the same distance is less of an excess than on the left."""
    images = torch.randn(40, 4, 6, 10, generator=torch.Generator().manual_seed(0))
    images[..., :5] *= 0.1
    sample = Reservoir(100_000, seed=0)
    for part in images.split(16):
        sample.update(part.permute(0, 2, 3, 1).flatten(0, 2))
    bank = make_bank(sample, 20, (6, 10), seed=0)
    strange = images[:8] + 1
    excess = bank.excess(bank.distance(bank.whitened(strange.permute(0, 2, 3, 1))))
    assert excess[..., :3].mean() > 3 * excess[..., 7:].mean()
    usual = bank.excess(bank.distance(bank.whitened(images.permute(0, 2, 3, 1)))).mean((0, 1))
    assert usual[[0, 1, 2, 7, 8, 9]].abs().max() < 0.5  # of columns away from the border, which smoothing mixes


def test_only_an_image_strange_all_over_is_lowered() -> None:
    good = torch.rand(1, 64, 96, generator=torch.Generator().manual_seed(0))
    local, strange = good.clone(), good + 5
    local[:, :48] += 9  # three quarters of the image: a defect, however broad
    most = quiet(good).amax()
    assert torch.equal(quiet(good), good[:, ::8, ::8].flatten(1).kthvalue(10).values)
    assert torch.equal(lowered(good, most), good)
    torch.testing.assert_close(lowered(local, most)[:, :48], local[:, :48], rtol=0, atol=0.4)
    torch.testing.assert_close(lowered(strange, most), good)


def test_another_light_raises_the_score_and_not_the_map(surfaces: torch.Tensor) -> None:
    settings = preset("best").replace(weights=None, size=(64, 64), bank=50, discriminator=20, image_score="map")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        method = DSSM(settings)
    method.network.eval()
    method.fit([surfaces[:16]])
    method.calibrate([surfaces[16:]])
    assert set(method.fitted()) == method.fitted_names()
    images = torch.cat([surfaces[16:], surfaces[16:] // 2])
    scores, maps = method.score(images)
    good, dark = len(surfaces) - 16, maps[len(surfaces) - 16 :]
    assert scores[good:].min() > scores[:good].max()
    assert quiet(dark).max() <= method.scorer.scales["quiet"] + 1e-4
    stages = method.network.stages(images)
    located, judged = method.scorer._fine_maps(method.scorer._coarse_maps(method.network, stages), (64, 64))
    torch.testing.assert_close(maps[:good], located[:good])
    torch.testing.assert_close(scores, judged.flatten(1).amax(1))


@pytest.mark.parametrize(("maps", "steps"), [("fused", 0), ("fused", 20), ("bank", 20)])
def test_images_are_judged_by_what_separates_them(surfaces: torch.Tensor, maps: str, steps: int) -> None:
    settings = preset("best").replace(weights=None, size=(64, 64), bank=50, discriminator=steps, map=maps)
    method = DSSM(settings)
    method.network.eval()
    method.fit([surfaces[:16]])
    method.calibrate([surfaces[16:]])
    assert set(method.fitted()) == method.fitted_names()
    scorer, coarse = method.scorer, method.scorer._coarse_maps(method.network, method.network.stages(surfaces[:2]))
    names = ["mahalanobis", "segmentation"] * (maps == "fused") + ["excess"] + ["discriminator"] * (steps > 0)
    assert scorer.scales["judged"].sum() == pytest.approx(len(names))
    for alone, name in zip(torch.eye(len(names)), names, strict=True):
        scorer.scales["judged"] = alone
        _, judged = scorer._fine_maps(coarse, (64, 64))
        expected = (coarse[name] - scorer.scales[name][0]) / scorer.scales[name][1]
        torch.testing.assert_close(judged, enlarge(expected, (64, 64), settings.smooth))


def test_maps_weigh_as_a_power_of_their_separation() -> None:
    clean = {"mahalanobis": torch.tensor([9.0, 11.0]), "bank": torch.tensor([4.0, 6.0]), "segmentation": torch.ones(2)}
    defaced = {"mahalanobis": torch.full((6,), 13.0), "bank": torch.full((6,), 6.0), "segmentation": torch.ones(6) * 99}
    names = list(clean)  # separations 3, 1 and one that does not count
    assert trust(clean, defaced, names, power=2).tolist() == pytest.approx([1.8, 0.2, 1.0], rel=1e-4)
    assert trust(clean, defaced, names, power=1).tolist() == pytest.approx([1.5, 0.5, 1.0], rel=1e-4)
    assert trust(clean, clean, names, power=2).tolist() == pytest.approx([1.0] * 3)
    assert trust(clean, defaced, ["segmentation"], power=1).tolist() == [1.0]


def test_defaced_images_hold_every_kind_of_patch() -> None:
    images = torch.randint(90, 160, (4, 3, 64, 96), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    index = torch.arange(4)
    defaced = deface(images, index, seed=1)
    changed = (defaced != images.repeat(3, 1, 1, 1)).any(1).flatten(1).float().mean(1)
    assert changed.min() > 0
    assert changed.max() < 0.03
    assert torch.equal(deface(images[2:3], index[2:3], seed=1), defaced[2::4])  # whatever the batch
