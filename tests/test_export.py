# SPDX-License-Identifier: Apache-2.0
"""Exported models: they say what the checkpoint says, without torch, and what is no such model is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from torch import Tensor

from dssm import Detector, methods
from dssm.cli import cli
from dssm.cli.export import exporter
from dssm.data import resize
from dssm.errors import InputError
from dssm.files import sha256
from dssm.settings import Settings

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")

from dssm.export import Exported, export, verify  # noqa: E402
from dssm.export import graph as graphs  # noqa: E402
from dssm.export.session import open_session  # noqa: E402

SIZES = [(64, 64), (50, 80), (200, 33), (131, 257), (40, 40)]  # (height, width)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory, surfaces: Tensor) -> Path:
    """Surfaces of odd sizes, every other one scratched, in MVTec layout; one name is not ASCII."""
    root = tmp_path_factory.mktemp("new parts")
    for folder in ("train/good", "test/good", "test/scratch", "ground_truth/scratch"):
        (root / folder).mkdir(parents=True)
    for i, (height, width) in enumerate(2 * SIZES):
        image = Image.fromarray(surfaces[i].permute(1, 2, 0).numpy()).resize((width, height))
        image.save(root / f"train/good/{i}.png")
        if i % 2:
            scratch = np.zeros((height, width), dtype=np.uint8)
            scratch[height // 3 : height // 3 + 6, 5:-5] = 255
            image.paste((20, 20, 20), mask=Image.fromarray(scratch))
            Image.fromarray(scratch).save(root / f"ground_truth/scratch/ü{i}_mask.png")
        image.save(root / ("test/scratch" if i % 2 else "test/good") / f"ü{i}.png")
    return root


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory, tiny: Settings, good_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("run")
    Detector(tiny, device="cpu").fit(good_folder, progress=False).save(folder)
    return folder


@pytest.fixture(scope="module")
def model(saved: Path) -> Path:
    """`saved` as an ONNX file, by the command line."""
    path = saved / "für die Linie" / "model.onnx"
    result = run("export", saved, path)
    assert result.exit_code == 0, result.output
    return path


def test_both_say_the_same(saved: Path, model: Path, pictures: Path) -> None:
    parity = verify(saved, model, pictures, progress=False)
    assert (parity.images, parity.verdicts) == (10, 0)
    assert parity.holds
    assert parity.image_auroc is not None
    assert parity.pixel_auroc is not None
    assert parity.image_auroc[0] == parity.image_auroc[1] > 0.5


@pytest.mark.parametrize(
    "changes",
    [
        {"image_score": "projector", "map": "mahalanobis", "smooth": 0.0},
        {"image_score": "map", "map": "segmentation", "map_stages": (2, 4), "size": (64, 96)},
        {"image_score": "fused", "bank": 50, "lower": True},
        {"tile": (32, 64), "overlap": 0.5, "map": "mahalanobis", "segment": False},
    ],
)
def test_every_kind_of_score_and_map(changes: dict, tiny: Settings, good_folder: Path, tmp_path: Path) -> None:
    Detector(tiny.replace(**changes, samples=1), device="cpu").fit(good_folder, progress=False).save(tmp_path)
    export(tmp_path, tmp_path / "model.onnx")
    (tmp_path / "new").mkdir()
    for path in sorted(good_folder.iterdir())[:8]:  # turned, for what lies in the bank is 0 away, but for rounding
        Image.open(path).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "new" / path.name)
    parity = verify(tmp_path, tmp_path / "model.onnx", tmp_path / "new", progress=False)
    assert parity.holds
    assert max(parity.score, parity.map) < 1e-4


def test_images_of_their_own_size_are_refused(tiny: Settings, good_folder: Path, tmp_path: Path) -> None:
    settings = tiny.replace(size="native", tile=(64, 64), epochs=0)
    Detector(settings, device="cpu").fit(good_folder, progress=False).save(tmp_path)
    with pytest.raises(InputError, match="train with --size HEIGHTxWIDTH"):
        export(tmp_path, tmp_path / "model.onnx")


def test_normalised_scores_are_those_of_the_detector(saved: Path, model: Path, pictures: Path) -> None:
    path = pictures / "test/scratch/ü3.png"
    ours = Detector.load(saved, device="cpu").predict(path)[0]
    score, heat = open_session(str(model)).run(
        ["normalised", "normalised_map"], {"image": np.asarray(Image.open(path))}
    )
    assert score == pytest.approx(ours.normalised, abs=1e-4)
    assert score > 0.5
    np.testing.assert_allclose(heat, ours.normalised_map, atol=1e-4)


def test_8_bits_keep_what_was_set_by_hand(saved: Path, tmp_path: Path) -> None:
    detector = Detector.load(saved, device="cpu")
    detector.choose_thresholds(image=123.0)
    detector.save(tmp_path)
    export(tmp_path, tmp_path / "model.onnx", int8=True)
    thresholds = Exported(tmp_path / "model.onnx").thresholds
    assert thresholds["image"] == 123.0
    assert thresholds["pixel"] != detector.thresholds["pixel"]


def test_the_graph_is_made_of_plain_operators(model: Path) -> None:
    graph = onnx.load(model).graph
    assert {node.domain for node in graph.node} == {""}
    assert "BatchNormalization" not in {node.op_type for node in graph.node}
    assert [dim.dim_param for dim in graph.input[0].type.tensor_type.shape.dim] == ["height", "width", ""]


@pytest.mark.parametrize("size", [*SIZES, (8, 9), (1000, 700)])
def test_images_are_resized_as_for_training(size: tuple[int, int]) -> None:
    helper, kinds = onnx.helper, onnx.TensorProto
    core = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("Cast", ["images"], ["floats"], to=kinds.FLOAT),
                helper.make_node("ReduceMax", ["floats", "all"], ["score"], keepdims=0),
                helper.make_node("ReduceMean", ["floats", "planes_axes"], ["map"], keepdims=0),
            ],
            "core",
            [helper.make_tensor_value_info("images", kinds.UINT8, [1, 3, 64, 96])],
            [
                helper.make_tensor_value_info("score", kinds.FLOAT, []),
                helper.make_tensor_value_info("map", kinds.FLOAT, [64, 96]),
            ],
            [
                helper.make_tensor("all", kinds.INT64, [4], [0, 1, 2, 3]),
                helper.make_tensor("planes_axes", kinds.INT64, [2], [0, 1]),
            ],
        ),
        opset_imports=[helper.make_opsetid("", graphs.OPSET)],
        ir_version=10,
    )
    thresholds = {"image": 0.0, "pixel": 0.0, "typical_image": -1.0, "typical_pixel": -1.0}
    whole = graphs.complete(core, (64, 96), thresholds, {})
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 1), dtype=np.uint8).repeat(3, axis=2)
    seen = open_session(whole.SerializeToString()).run(["map"], {"image": pixels})[0]
    expected = resize(Image.fromarray(pixels), (64, 96))[0]
    assert np.abs(seen - expected).max() <= 1
    assert np.mean(seen != expected) < 3e-4


def test_the_script_needs_neither_torch_nor_this_package(model: Path, pictures: Path) -> None:
    script = model.with_suffix(".py")
    image = pictures / "test/scratch/ü3.png"
    arguments = [str(script), str(model), str(image)]
    code = (
        "import runpy, sys; sys.modules['torch'] = sys.modules['dssm'] = None; "
        f"sys.argv = {arguments!r}; runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", env={"PYTHONUTF8": "1"})
    assert done.returncode == 0, done.stderr
    expected = Exported(model)(np.asarray(Image.open(image)))
    assert f"score {expected.score:.6g} ({expected.normalised:.3f} of 1), anomalous," in done.stdout


def test_the_file_says_what_it_is(saved: Path, model: Path) -> None:
    facts = Exported(model).facts
    stored = json.loads((saved / "model.json").read_text())
    assert json.loads(facts["dssm.thresholds"]).items() >= stored["thresholds"].items()
    assert json.loads(facts["dssm.settings"]) == stored["settings"]
    assert facts["dssm.sha256"] == sha256(saved / "model.safetensors")
    assert facts["dssm.card"].startswith((saved / "model_card.md").read_text())


def test_8_bits(saved: Path, model: Path, pictures: Path) -> None:
    path = model.with_name("int8.onnx")
    result = run("export", saved, path, "--int8")
    assert result.exit_code == 0, result.output
    weights = {tensor.name: tensor.data_type for tensor in onnx.load(path).graph.initializer}
    assert list(weights.values()).count(onnx.TensorProto.INT8) > 15
    assert path.stat().st_size < model.stat().st_size / 2
    facts = Exported(path).facts
    assert json.loads(facts["dssm.thresholds"]) != json.loads(Exported(model).facts["dssm.thresholds"])
    assert facts["dssm.precision"] == "int8"
    parity = verify(saved, path, pictures, progress=False)
    assert parity.score > 1e-4
    assert parity.image_auroc is not None
    assert parity.image_auroc[1] > 0.9


def test_verify_prints_a_line_per_figure(saved: Path, model: Path, pictures: Path) -> None:
    result = run("verify", saved, model, pictures)
    assert result.exit_code == 0, result.output
    assert "10 of 10 the same" in result.output
    assert "image AUROC" in result.output
    assert run("verify", saved, model, pictures, "--tolerance", 0).exit_code == 1


def test_verify_notices_another_verdict(saved: Path, model: Path, pictures: Path, tmp_path: Path) -> None:
    facts = json.loads((saved / "model.json").read_text())
    facts["thresholds"]["image"] = 1e9
    (tmp_path / "model.json").write_text(json.dumps(facts))
    (tmp_path / "model.safetensors").write_bytes((saved / "model.safetensors").read_bytes())
    parity = verify(tmp_path, model, pictures, progress=False)
    assert parity.verdicts >= 5
    assert not parity.holds


def test_verify_notices_what_is_not_a_number(saved: Path, model: Path, good_folder: Path, tmp_path: Path) -> None:
    broken = onnx.load(model)
    weight = next(tensor for tensor in broken.graph.initializer if len(tensor.dims) == 4)
    weight.CopyFrom(onnx.numpy_helper.from_array(np.full(weight.dims, np.nan, dtype=np.float32), weight.name))
    onnx.save(broken, tmp_path / "broken.onnx")
    parity = verify(saved, tmp_path / "broken.onnx", good_folder / "00.png", progress=False, differing=1.0)
    assert not parity.holds


class TestRefused:
    def test_another_format(self, saved: Path, model: Path, pictures: Path, tmp_path: Path) -> None:
        changed = onnx.load(model)
        next(entry for entry in changed.metadata_props if entry.key == "dssm.format").value = "7"
        onnx.save(changed, tmp_path / "old.onnx")
        with pytest.raises(InputError, match=r"old\.onnx has format 7, written by dssm .*export it again"):
            verify(saved, tmp_path / "old.onnx", pictures)

    def test_an_export_of_another_model(self, tiny: Settings, model: Path, good_folder: Path, tmp_path: Path) -> None:
        Detector(tiny.replace(samples=1), device="cpu").fit(good_folder, progress=False).save(tmp_path)
        with pytest.raises(InputError, match="exported from another model"):
            verify(tmp_path, model, good_folder)

    def test_what_is_no_export(self, model: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no such file"):
            Exported(tmp_path / "nothing.onnx")
        (tmp_path / "broken.onnx").write_bytes(model.read_bytes()[:1000])
        with pytest.raises(InputError, match=r"broken\.onnx is not an ONNX model"):
            Exported(tmp_path / "broken.onnx")
        foreign = onnx.load(model)
        del foreign.metadata_props[:]
        onnx.save(foreign, tmp_path / "foreign.onnx")
        with pytest.raises(InputError, match="none that `dssm export` wrote"):
            Exported(tmp_path / "foreign.onnx")

    @pytest.mark.parametrize(("field", "word"), [("ir_version", "IR version"), ("opset_import", "opset")])
    def test_a_newer_onnx(self, field: str, word: str, model: Path, tmp_path: Path) -> None:
        newer = onnx.load(model)
        if field == "ir_version":
            newer.ir_version = 99
        else:
            newer.opset_import[0].version = 99
        onnx.save(newer, tmp_path / "newer.onnx")
        with pytest.raises(InputError, match="or install a newer onnxruntime") as refused:
            Exported(tmp_path / "newer.onnx")
        assert word in str(refused.value)
        assert "/onnxruntime_src" not in str(refused.value)

    def test_another_suffix(self, saved: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"must end in \.onnx"):
            export(saved, tmp_path / "model.pt")

    def test_8_bits_without_the_images_of_the_training(self, saved: Path, pictures: Path, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"10 good images, but .* was trained on 24"):
            export(saved, tmp_path / "model.onnx", int8=True, data=pictures)
        assert not (tmp_path / "model.onnx").exists()

    def test_a_method_that_decides_in_python(
        self, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def score(_: object, images: Tensor) -> tuple[Tensor, Tensor]:
            value = images.float().mean((1, 2, 3))
            return (value if value.item() > 1 else -value), images[:, 0].float()

        monkeypatch.setattr(methods.METHODS["dssm"], "score", score)
        with pytest.raises(InputError, match="the method dssm cannot be exported to ONNX: Could not guard on data"):
            export(saved, tmp_path / "model.onnx")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("dssm.export")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"the package onnx: pip install .dssm-surface\[export\]"):
        exporter("write")


def test_magnetic_tiles(real, tiny: Settings, tmp_path: Path) -> None:
    """Real images of many sizes."""
    tiles = real("magnetic_tile")
    paths = sorted((tiles / "train/good").iterdir())[:24]
    Detector(tiny, device="cpu").fit(paths, progress=False).save(tmp_path)
    export(tmp_path, tmp_path / "model.onnx")
    parity = verify(tmp_path, tmp_path / "model.onnx", tiles / "test/blowhole", progress=False)
    assert parity.holds
    assert parity.images > 20
