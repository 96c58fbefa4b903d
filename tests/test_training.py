# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dssm.data import load_textures
from dssm.errors import InputError
from dssm.methods import dssm as dssm_method
from dssm.methods.dssm import DSSM
from dssm.settings import Settings
from dssm.training import Interrupted, train
from dssm.training.batch import make_batch, make_targets
from dssm.training.window import window


@pytest.fixture(scope="module")
def textures() -> Tensor:
    return load_textures("builtin", (64, 64))


def method(settings: Settings) -> DSSM:
    torch.manual_seed(settings.seed)
    return DSSM(settings)


def weights(trained: DSSM) -> list[Tensor]:
    return list(trained.network.state_dict().values())


def test_a_batch_holds_images_and_their_pasted_twins(surfaces: Tensor, textures: Tensor, tiny: Settings) -> None:
    batch = make_batch(surfaces[:6], textures, torch.arange(6), tiny)
    assert torch.equal(batch.images[:6], surfaces[:6])
    assert not batch.masks[:6].any()
    assert batch.masks[6:].flatten(1).any(1).all()
    outside = ~batch.masks[6:, None].expand_as(surfaces[:6])
    assert torch.equal(batch.images[6:][outside], surfaces[:6][outside])
    assert batch.labels[:6].eq(0).all()
    assert batch.labels[6:].ge(1).all()
    assert batch.targets is not None
    assert batch.targets.shape == (12, 3780)


def test_what_is_pasted_into_grey_images_is_grey(surfaces: Tensor, textures: Tensor, tiny: Settings) -> None:
    settings = tiny.replace(patches=("noise", "scar", "patch"))
    mixed = surfaces[:6].clone()
    mixed[:3] = mixed[:3, :1]
    index = torch.arange(6)
    batch = make_batch(mixed, textures, index, settings)
    assert (batch.images[6:9] != mixed[:3]).flatten(1).any(1).all()
    assert torch.equal(batch.images[6:9], batch.images[6:9, :1].expand(-1, 3, -1, -1))
    in_colour = make_batch(surfaces[:6], textures, index, settings)
    assert torch.equal(batch.images[9:], in_colour.images[9:])


def test_a_sample_does_not_depend_on_its_batch(surfaces: Tensor, textures: Tensor, tiny: Settings) -> None:
    whole = make_batch(surfaces[:6], textures, torch.arange(6), tiny)
    alone = make_batch(surfaces[4:5], textures, torch.tensor([4]), tiny)
    assert torch.equal(whole.images[10], alone.images[1])
    assert whole.labels[10] == alone.labels[1]


def test_windows_are_cut_out_of_the_images(surfaces: Tensor, textures: Tensor, tiny: Settings) -> None:
    numbered = torch.arange(96 * 160, dtype=torch.int32).reshape(1, 1, 96, 160).expand(50, 1, 96, 160)
    cut = window(numbered, torch.arange(50), seed=0, side=128)
    assert cut.shape == (50, 1, 96, 128)  # a side that is shorter stays whole
    left = cut[:, 0, 0, 0]
    moved = cut - left[:, None, None, None]
    assert moved.eq(moved[:1]).all()  # rows and columns lie as they did
    assert set(left.tolist()) <= set(range(33))
    assert len(left.unique()) > 20
    assert torch.equal(window(numbered[:1], torch.tensor([7]), seed=0, side=128)[0], cut[7])

    batch = make_batch(surfaces[:6], textures, torch.arange(6), tiny.replace(crop=64))
    assert torch.equal(batch.images, make_batch(surfaces[:6], textures, torch.arange(6), tiny).images)


def test_a_frozen_backbone_stays_as_it_is(surfaces: Tensor, textures: Tensor, tiny: Settings) -> None:
    trained = method(tiny.replace(frozen=True, samples=1, classify=False, regress="none"))
    before = {name: value.clone() for name, value in trained.network.state_dict().items()}
    train(trained, surfaces, textures, progress=False)
    changed = {name for name, value in trained.network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert {name.split(".")[0] for name in changed} == {"segmenter"}


def test_clean_target_is_that_of_the_normal_twin(surfaces: Tensor, textures: Tensor, tiny: Settings) -> None:
    batch = make_batch(surfaces[:4], textures, torch.arange(4), tiny.replace(target="clean"))
    assert batch.targets is not None
    assert torch.equal(batch.targets[:4], batch.targets[4:])


def test_targets_have_the_decoders_size(surfaces: Tensor) -> None:
    for regress in ("hog", "rgb"):
        targets = make_targets(surfaces[:2], regress)
        assert targets is not None
        assert targets.shape == (2, 3780)
    assert make_targets(surfaces[:2], "none") is None


@pytest.mark.parametrize("changes", [{}, {"ways": 2, "mask": "dropout"}, {"regress": "rgb", "classify": False}])
def test_the_loss_falls(surfaces: Tensor, textures: Tensor, tiny: Settings, changes: dict[str, Any]) -> None:
    settings = tiny.replace(epochs=6, samples=1, rate=0.01, **changes)
    history = train(method(settings), surfaces[:8], textures, progress=False)
    assert len(history) == 6
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["regress"] < 0.8 * history[0]["regress"]


def test_the_seed_fixes_the_weights(surfaces: Tensor, textures: Tensor, tiny: Settings) -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = method(tiny), method(tiny)
    train(first, surfaces, textures, progress=False)
    torch.manual_seed(99)  # the caller's generator must not matter
    train(second, surfaces, textures, progress=False)
    assert all(torch.equal(a, b) for a, b in zip(weights(first), weights(second), strict=True))
    torch.manual_seed(5)
    train(first, surfaces, textures, progress=False)
    assert torch.equal(torch.random.get_rng_state(), before)  # and is left alone


def test_ctrl_c_saves_and_resume_is_exact(
    surfaces: Tensor, textures: Tensor, tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tiny.replace(mask="dropout", checkpoint=1e6)
    unbroken = method(settings)
    history = train(unbroken, surfaces, textures, progress=False)

    stopped = method(settings)
    make = dssm_method.make_batch

    def press_ctrl_c(images: Tensor, textures: Tensor, index: Tensor, settings: Settings) -> Any:
        if index[0] >= len(surfaces):  # in the middle of the second epoch
            os.kill(os.getpid(), signal.SIGINT)
        return make(images, textures, index, settings)

    monkeypatch.setattr(dssm_method, "make_batch", press_ctrl_c)
    with pytest.raises(Interrupted, match="stopped after step 7 of 12"):
        train(stopped, surfaces, textures, folder=tmp_path, progress=False)
    monkeypatch.undo()

    resumed = method(settings)
    again = train(resumed, surfaces, textures, folder=tmp_path, resume=True, progress=False)
    pairs = zip(weights(unbroken), weights(resumed), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert [row["loss"] for row in again] == [row["loss"] for row in history]


def test_kill_9_and_resume_is_exact(good_folder: Path, tmp_path: Path) -> None:
    """The final weights equal those of an unbroken run, however it died."""
    options = ["--size", "64", "--batch", "8", "--epochs", "6", "--set", "checkpoint=0", "--set", "discriminator=20"]
    command = [sys.executable, "-m", "dssm", "train"]
    subprocess.run([*command, good_folder, "--out", tmp_path / "a", *options], check=True, capture_output=True)

    killed = subprocess.Popen([*command, good_folder, "--out", tmp_path / "b", *options], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "b" / "checkpoint.safetensors").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.1)  # into the middle of an epoch, far from the end of the training
    killed.kill()
    assert killed.wait() == -signal.SIGKILL
    log = tmp_path / "b" / "log.csv"
    assert not log.exists() or len(log.read_text().splitlines()) < 6
    assert not (tmp_path / "b" / "model.json").exists()

    subprocess.run([*command, "--resume", "--out", tmp_path / "b"], check=True, capture_output=True)
    a, b = (load_file(tmp_path / run / "model.safetensors") for run in "ab")
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    a_rows, b_rows = (list(csv.DictReader((tmp_path / run / "log.csv").read_text().splitlines())) for run in "ab")
    assert [row["loss"] for row in a_rows] == [row["loss"] for row in b_rows]
    assert len(a_rows) == 6


def test_the_rate_falls_in_steps(surfaces: Tensor, textures: Tensor, tiny: Settings) -> None:
    changes = {"optimizer": "adam", "schedule": "steps", "milestones": (0.5, 0.75), "warmup": 0.0}
    history = train(method(tiny.replace(**changes, epochs=4, samples=1, batch=48)), surfaces, textures, progress=False)
    assert [row["rate"] for row in history] == pytest.approx([1e-3, 1e-3, 1e-4, 1e-5])


def test_an_epoch_shows_no_more_images_than_were_asked_for(surfaces: Tensor, textures: Tensor, tiny: Settings) -> None:
    history = train(method(tiny.replace(samples=10)), surfaces, textures, progress=False)
    assert [(row["epoch"], row["step"]) for row in history] == [(1, 3)]  # of 4 good images each


def test_a_diverging_run_says_so(surfaces: Tensor, textures: Tensor, tiny: Settings) -> None:
    with pytest.raises(InputError, match="lower the setting rate"):
        settings = tiny.replace(rate=1e8, warmup=0.0)
        train(method(settings), surfaces, textures, progress=False)


def test_another_trainings_checkpoint_is_refused(
    surfaces: Tensor, textures: Tensor, tiny: Settings, tmp_path: Path
) -> None:
    settings = tiny.replace(samples=1, batch=48)  # one step
    train(method(settings), surfaces, textures, folder=tmp_path, progress=False)
    with pytest.raises(InputError, match=r"differs in: images; start anew"):
        train(method(settings), surfaces[:20], textures, folder=tmp_path, resume=True, progress=False)
    with pytest.raises(InputError, match=r"differs in: seed; start anew"):
        settings = settings.replace(seed=1)
        train(method(settings), surfaces, textures, folder=tmp_path, resume=True, progress=False)


def test_a_seed_may_be_large(surfaces: Tensor, textures: Tensor, tiny: Settings) -> None:
    settings = tiny.replace(seed=2**63 - 1, samples=1)
    assert len(train(method(settings), surfaces, textures, progress=False)) == 1


def test_a_foreign_checkpoint_is_refused(surfaces: Tensor, textures: Tensor, tiny: Settings, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0nothing")
    with pytest.raises(InputError, match=r"checkpoint\.safetensors is damaged"):
        train(method(tiny), surfaces, textures, folder=tmp_path, resume=True, progress=False)
