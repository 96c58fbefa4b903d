# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from dssm import Detector
from dssm.data import Collection
from dssm.errors import InputError
from dssm.files import sha256
from dssm.settings import Settings, preset


@pytest.fixture(scope="module")
def fitted(tiny: Settings, surfaces: Tensor) -> Detector:
    return Detector(tiny, device="cpu").fit(surfaces, progress=False)


def rewrite(bundle: Path, tensors: dict[str, Tensor]) -> None:
    """Change the tensors of a bundle, and the checksum with them."""
    save_file(tensors, bundle / "model.safetensors")
    facts = json.loads((bundle / "model.json").read_text())
    facts["sha256"] = sha256(bundle / "model.safetensors")
    (bundle / "model.json").write_text(json.dumps(facts))


def scratched(surfaces: Tensor) -> Tensor:
    images = surfaces.clone()
    images[:, :, 20:26, 10:50] = 20
    return images


def test_a_scratch_scores_higher(fitted: Detector, surfaces: Tensor) -> None:
    good = np.array([p.score for p in fitted.predict(surfaces)])
    bad = np.array([p.score for p in fitted.predict(scratched(surfaces))])
    assert (bad > good).all()
    assert all(p.anomalous for p in fitted.predict(scratched(surfaces)))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"map": "mahalanobis"},
        {"map": "segmentation"},
        {"image_score": "projector"},
        {"image_score": "map"},
        {"image_score": "map", "map": "mahalanobis", "smooth": 0.0},
        {"map": "bank", "bank": 50},
        {"image_score": "fused", "bank": 50, "frozen": True, "classify": False, "regress": "none"},
    ],
)
def test_save_and_load_predict_the_same(changes: dict, tiny: Settings, surfaces: Tensor, tmp_path: Path) -> None:
    detector = Detector(tiny.replace(**changes, samples=1), device="cpu").fit(surfaces, progress=False)
    detector.save(tmp_path)
    loaded = Detector.load(tmp_path, device="cpu")
    assert loaded.settings == detector.settings
    for a, b in zip(detector.predict(surfaces[:3]), loaded.predict(surfaces[:3]), strict=True):
        assert a.score == b.score
        assert np.array_equal(a.map, b.map)
        assert a.map.shape == a.mask.shape == (64, 64)


def test_best_learns_from_ten_images(surfaces: Tensor) -> None:
    settings = preset("best").replace(weights=None, size=(64, 64), crop=64, batch=8, samples=40, discriminator=5)
    detector = Detector(settings, device="cpu").fit(surfaces[:10], progress=False)
    good = [p.score for p in detector.predict(surfaces[10:14])]
    bad = [p.score for p in detector.predict(scratched(surfaces[10:14]))]
    assert min(bad) > max(good)


def test_batch_size_and_order_do_not_matter(fitted: Detector, surfaces: Tensor) -> None:
    forwards = [p.score for p in fitted.predict(surfaces)]
    alone = [fitted.predict(surfaces[i : i + 1])[0].score for i in (0, 17)]
    assert alone == pytest.approx([forwards[0], forwards[17]], rel=1e-4)


def test_many_threads_get_what_one_gets(fitted: Detector, surfaces: Tensor) -> None:
    """Batches of different sizes at once, so that no thread may use what another one left."""
    parts = [surfaces[i : i + 1 + i % 3] for i in range(21)]
    expected = [fitted.predict(part) for part in parts]
    with ThreadPoolExecutor(8) as pool:
        for predictions, alone in zip(pool.map(fitted.predict, parts), expected, strict=True):
            assert [p.score for p in predictions] == [p.score for p in alone]
            assert all(np.array_equal(p.map, q.map) for p, q in zip(predictions, alone, strict=True))


def test_files_and_tensors_agree(fitted: Detector, surfaces: Tensor, good_folder: Path) -> None:
    from_files = fitted.predict(good_folder)
    assert [p.path.name for p in from_files[:2] if p.path] == ["00.png", "01.png"]
    from_tensor = [p.score for p in fitted.predict(surfaces)]
    assert [p.score for p in from_files] == pytest.approx(from_tensor, rel=1e-5)


def test_files_and_tensors_are_resized_alike(fitted: Detector, tmp_path: Path) -> None:
    pixels = torch.randint(0, 256, (1, 3, 333, 517), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(pixels[0].permute(1, 2, 0).numpy()).save(tmp_path / "a.png")
    from_file, from_tensor = fitted.predict(tmp_path)[0], fitted.predict(pixels)[0]
    assert from_file.score == from_tensor.score
    assert np.array_equal(from_file.map, from_tensor.map)


def test_other_sizes_and_floats_are_resized(fitted: Detector, surfaces: Tensor) -> None:
    assert fitted.predict(surfaces[:1].float())[0].score == fitted.predict(surfaces[:1])[0].score
    assert fitted.predict(surfaces[:1, :, :40, :50])[0].map.shape == (64, 64)


def test_an_empty_batch_is_no_prediction(fitted: Detector, surfaces: Tensor) -> None:
    assert fitted.predict(surfaces[:0]) == []


def test_bad_tensors_are_named(fitted: Detector, surfaces: Tensor) -> None:
    broken = surfaces[:1].float()
    broken[0, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match="NaN"):
        fitted.predict(broken)
    with pytest.raises(InputError, match=r"\(N, 3, H, W\)"):
        fitted.predict(surfaces[0])
    with pytest.raises(InputError, match="uint8 or floating"):
        fitted.predict(surfaces.long())


def test_bfloat16_keeps_fine_maps(tiny: Settings, surfaces: Tensor) -> None:
    detector = Detector(tiny.replace(precision="bfloat16", epochs=0), device="cpu").fit(surfaces, progress=False)
    prediction = detector.predict(surfaces[:1])[0]
    assert prediction.map.dtype == np.float32
    assert len(np.unique(prediction.map)) > 1000  # bfloat16 would leave a few hundred levels


def test_a_second_fit_forgets_the_first(tiny: Settings, surfaces: Tensor, good_folder: Path) -> None:
    detector = Detector(tiny.replace(size=None, pixels=64 * 64, samples=1), device="cpu")
    detector.fit(good_folder, progress=False)
    wide = torch.nn.functional.interpolate(surfaces.float(), size=(64, 256)).to(torch.uint8)
    detector.fit(wide, progress=False)
    assert detector.size == (64, 128)
    assert detector.data == {"name": "tensor", "images": 24}


def test_a_protocol_is_kept(fitted: Detector, monkeypatch: pytest.MonkeyPatch) -> None:
    """Test images of one protocol may be training images of another."""
    collection = Collection("bsd", "bsd", (), (), "paper")
    monkeypatch.setitem(fitted.data, "protocol", "strict")
    with pytest.raises(InputError, match="trained under protocol 'strict'"):
        fitted.evaluate(collection)


def test_too_few_images_are_refused(tiny: Settings, surfaces: Tensor) -> None:
    with pytest.raises(InputError, match="3 good images are too few"):
        Detector(tiny, device="cpu").fit(surfaces[:3], progress=False)


def test_untrained_detectors_say_so(tiny: Settings, surfaces: Tensor, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not trained"):
        Detector(tiny, device="cpu").predict(surfaces)
    with pytest.raises(InputError, match="nothing to save"):
        Detector(tiny, device="cpu").save(tmp_path)


def test_a_missing_device_is_named() -> None:
    with pytest.raises(InputError, match="device 'warp'"):
        Detector(device="warp")
    for device in ("mps", "meta", f"cuda:{torch.cuda.device_count()}"):
        with pytest.raises(InputError, match=f"device '{device}'"):
            Detector(device=device)


class TestBundle:
    @pytest.fixture
    def bundle(self, fitted: Detector, tmp_path: Path) -> Path:
        fitted.save(tmp_path)
        return tmp_path

    def test_a_missing_file(self, bundle: Path) -> None:
        (bundle / "model.json").unlink()
        with pytest.raises(InputError, match=r"has no model\.json"):
            Detector.load(bundle)

    def test_a_cut_file(self, bundle: Path) -> None:
        data = (bundle / "model.safetensors").read_bytes()
        (bundle / "model.safetensors").write_bytes(data[:1000])
        with pytest.raises(InputError, match=r"model\.safetensors is damaged"):
            Detector.load(bundle)

    def test_a_changed_bit(self, bundle: Path) -> None:
        data = bytearray((bundle / "model.safetensors").read_bytes())
        data[-1] ^= 1
        (bundle / "model.safetensors").write_bytes(data)
        with pytest.raises(
            InputError, match=rf"model\.safetensors is damaged: its SHA-256 is {sha256(bundle / 'model.safetensors')}"
        ):
            Detector.load(bundle)

    def test_a_missing_tensor(self, bundle: Path) -> None:
        tensors = load_file(bundle / "model.safetensors")
        del tensors["network.backbone.conv1.weight"]
        rewrite(bundle, tensors)
        with pytest.raises(InputError, match=r"lacks the tensor 'network\.backbone\.conv1\.weight'"):
            Detector.load(bundle)

    def test_a_missing_gaussian(self, bundle: Path) -> None:
        tensors = load_file(bundle / "model.safetensors")
        del tensors["scorer.image.mean"]
        rewrite(bundle, tensors)
        with pytest.raises(InputError, match=r"scorer\.image\.mean"):
            Detector.load(bundle)

    def test_a_foreign_tensor(self, bundle: Path) -> None:
        tensors = load_file(bundle / "model.safetensors")
        rewrite(bundle, {**tensors, "network.intruder": torch.zeros(1)})
        with pytest.raises(InputError, match=r"'network\.intruder' that this model does not know"):
            Detector.load(bundle)

    def test_a_tensor_of_another_shape(self, bundle: Path) -> None:
        tensors = load_file(bundle / "model.safetensors")
        tensors["network.backbone.bn1.weight"] = torch.zeros(3)
        rewrite(bundle, tensors)
        with pytest.raises(InputError, match=r"network\.backbone\.bn1\.weight has shape \(3,\), not \(64,\)"):
            Detector.load(bundle)

    @pytest.mark.parametrize(("place", "key"), [("settings", "ways"), ("thresholds", "pixel")])
    def test_a_missing_nested_key(self, bundle: Path, place: str, key: str) -> None:
        facts = json.loads((bundle / "model.json").read_text())
        del facts[place][key]
        (bundle / "model.json").write_text(json.dumps(facts))
        with pytest.raises(InputError, match=f"lacks the {place[:-1]} {key!r}"):
            Detector.load(bundle)

    @pytest.mark.parametrize(("key", "word"), [("settings", "lacks the key 'settings'"), ("format", "format None")])
    def test_a_missing_key(self, bundle: Path, key: str, word: str) -> None:
        facts = json.loads((bundle / "model.json").read_text())
        del facts[key]
        (bundle / "model.json").write_text(json.dumps(facts))
        with pytest.raises(InputError, match=word):
            Detector.load(bundle)

    @pytest.mark.parametrize(
        ("key", "value"),
        [("thresholds", None), ("thresholds", {"image": "x", "pixel": 1}), ("data", 3), ("good", {"image": []})],
    )
    def test_a_value_of_another_kind(self, bundle: Path, key: str, value: object) -> None:
        facts = json.loads((bundle / "model.json").read_text())
        (bundle / "model.json").write_text(json.dumps({**facts, key: value}))
        with pytest.raises(InputError, match=rf"model\.json is damaged: .*{key} cannot be"):
            Detector.load(bundle)

    def test_a_foreign_key(self, bundle: Path) -> None:
        facts = json.loads((bundle / "model.json").read_text())
        (bundle / "model.json").write_text(json.dumps({**facts, "intruder": 1}))
        with pytest.raises(InputError, match="'intruder' that this model does not know"):
            Detector.load(bundle)
