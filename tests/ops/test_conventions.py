# SPDX-License-Identifier: Apache-2.0
"""What holds for every op: one word for its files, backends that run or say why, harmless threads."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from dssm import backends, ops
from dssm.errors import BackendError

ROOT = Path(__file__).parents[2]
SHARED = {
    "",
    "bind",
    "block",
    "cpu",
    "gather",
    "launch",
    "order",
    "philox",
    "product",
    "workspace",
}  # headers and packages that belong to no single op
each_op = pytest.mark.parametrize("op", ops.__all__)

_index = torch.tensor([0, 5, 9])
_images = torch.arange(3 * 3 * 32 * 32).remainder(251).to(torch.uint8).view(3, 3, 32, 32)
_masks = _images[:, 0] > 99
_maps = torch.linspace(-1, 1, 24576).view(3, 16, 16, 32).permute(0, 3, 1, 2)  # channels_last
CALLS: dict[str, tuple[tuple, dict[str, Any]]] = {
    "augment": ((_images, _index), {"seed": 1}),
    "batchnorm": ((_maps, torch.ones(32), torch.zeros(32)), {}),
    "blend": ((_images, _images.flip(0), _masks, torch.full((3,), 0.25)), {}),
    "component": ((_masks,), {}),
    "convolution": ((_maps, torch.linspace(-1, 1, 9216).view(32, 32, 3, 3)), {}),
    "covariance": ((torch.linspace(-1, 1, 96).view(3, 2, 4, 4),), {}),
    "histogram": ((_maps[:, 0], _maps[:, 1].double().relu()), {}),
    "hog": ((_images,), {}),
    "mahalanobis": ((torch.linspace(-1, 1, 96).view(3, 2, 4, 4), torch.zeros(2), torch.eye(2)), {}),
    "mscm": ((torch.linspace(-1, 1, 96).view(3, 2, 4, 4), torch.ones(4, 48, 2, 1, 1)), {}),
    "paste": ((_images, _images.flip(0), _index), {"seed": 1}),
    "perlin": ((_index, (32, 48)), {"seed": 1}),
    "rank": ((torch.linspace(-1, 1, 41), torch.linspace(-2, 2, 161)), {}),
    "region": ((_masks,), {}),
}


def call(op: str, **options: Any) -> tuple[Tensor, ...]:
    arguments, settings = CALLS[op]
    result = getattr(ops, op)(*arguments, **settings, **options)
    return result if isinstance(result, tuple) else (result,)


def equal(left: tuple[Tensor, ...], right: tuple[Tensor, ...]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


@each_op
@pytest.mark.parametrize("path", ["dssm/ops/{}.py", "dssm/reference/{}.py", "tests/ops/test_{}.py"])
def test_an_op_is_one_word_everywhere(op: str, path: str) -> None:
    assert (ROOT / path.format(op)).is_file()


@pytest.mark.parametrize("folder", ["dssm/cpu", "dssm/cuda", "kernels", "csrc/cpu", "csrc/cuda"])
def test_every_kernel_file_is_named_after_an_op(folder: str) -> None:
    """Or after an op and its part: hog_blocks.h."""
    names = {path.stem.partition("_")[0] for path in (ROOT / folder).glob("*.*")}
    assert names <= {*ops.__all__, *SHARED}


@each_op
def test_public_functions_say_what_they_do(op: str) -> None:
    function = getattr(ops, op)
    assert "Returns" in function.__doc__ or "->" in function.__doc__
    parameter = inspect.signature(function).parameters["backend"]
    assert parameter.kind is parameter.KEYWORD_ONLY
    assert parameter.default is None


@each_op
def test_a_backend_that_cannot_run_says_why(op: str) -> None:
    with pytest.raises(BackendError, match=r"'cuda' cannot run .* on cpu"):
        call(op, backend="cuda")
    with pytest.raises(BackendError, match="'fast' is not one of auto, reference"):
        call(op, backend="fast")
    if not isinstance(backends.load(op, "cpu"), ModuleType):
        with pytest.raises(BackendError, match=f"'cpu' cannot run {op}: "):
            call(op, backend="cpu")


@each_op
def test_the_environment_chooses_the_backend(op: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the reference was called")

    monkeypatch.setattr(backends.load(op, "reference"), op, refuse)
    monkeypatch.setenv("DSSM_BACKEND", "reference")
    with pytest.raises(AssertionError, match="the reference was called"):
        call(op)
    monkeypatch.setenv("DSSM_BACKEND", "cuda")
    with pytest.raises(BackendError, match="cuda"):
        call(op)
    if isinstance(backends.load(op, "cpu"), ModuleType):
        call(op, backend="cpu")  # the argument goes before the environment


def test_the_environment_is_for_a_whole_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """An op that the backend has no kernel for goes to another; as an argument that is an error."""
    monkeypatch.setitem(backends._DEVICES, "cpu", ("cpu", "reference", "cuda"))
    monkeypatch.setattr(backends, "_missing", lambda _: "")
    monkeypatch.setattr(backends, "load", lambda op, name: f"no {op}" if name == "cuda" else ops)
    monkeypatch.setenv("DSSM_BACKEND", "cuda")
    assert backends.explain("hog", "cpu") == ("cpu", ["no hog"])
    with pytest.raises(BackendError, match="'cuda' cannot run hog: no hog"):
        backends.explain("hog", "cpu", "cuda")
    monkeypatch.setattr(backends, "_missing", lambda _: "no driver")
    with pytest.raises(BackendError, match="'cuda' cannot run hog"):
        backends.explain("hog", "cpu")


def test_auto_takes_the_fastest_and_logs_it_once(caplog: pytest.LogCaptureFixture) -> None:
    backends._choose.cache_clear()
    with caplog.at_level(logging.INFO, logger="dssm"):
        for _ in range(3):
            call("component", backend="auto")
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith(f"component on cpu: {backends.choose('component', 'cpu', 'auto')[0]}")


@pytest.fixture
def set_threads() -> Any:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@each_op
def test_modes_transforms_and_the_profiler_see_the_op(op: str) -> None:
    """A plain call leaves out the dispatcher; whoever watches must not miss it."""

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(str(function))
            return function(*args, **(kwargs or {}))

    seen: list[str] = []
    with Recorder():
        call(op)
    assert f"dssm.{op}.default" in seen
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        call(op)
    assert f"dssm::{op}" in {event.key for event in profile.key_averages()}
    with FakeTensorMode(allow_non_fake_inputs=True):
        shapes = [result.shape for result in call(op)]
    assert shapes == [result.shape for result in call(op)]


@each_op
def test_the_number_of_threads_changes_nothing(op: str, set_threads: Callable[[int], None]) -> None:
    results = []
    for threads in (1, 2, 5):
        set_threads(threads)
        results.append(call(op))
    assert equal(results[0], results[1])
    assert equal(results[0], results[2])


@each_op
def test_two_threads_at_once_get_the_same(op: str) -> None:
    expected = call(op)
    with ThreadPoolExecutor(2) as pool:
        assert all(equal(result, expected) for result in pool.map(lambda _: call(op), range(20)))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/maps")
def test_one_openmp_library_in_the_process() -> None:
    """The extension uses torch's threads: a second pool would fight with it for the cores."""
    program = """
import re, torch, dssm.ops
torch.set_num_threads(2)
dssm.ops.component(torch.ones(4, 8, 8, dtype=torch.bool), backend="cpu")
torch.ones(1000, 1000).sum()
loaded = set(re.findall(r"/\\S*lib[a-z]*omp[^/\\s]*", open("/proc/self/maps").read()))
assert len(loaded) == 1, loaded
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
