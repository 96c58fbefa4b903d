# SPDX-License-Identifier: Apache-2.0
"""Tensors that are carried to a device and back: here the device is the CPU again."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from dssm import backends, ops
from dssm.cli.bench import module

ferry = module("ferry")
ROOT = Path(__file__).parents[2]

LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.to(memory_format=torch.channels_last),
    "transposed": lambda x: x.mT,
    "sliced": lambda x: x[:, 1:, ::2, 1:],
    "expanded": lambda x: x[:1].expand(x.shape),
    "empty": lambda x: x[:0],
}


@pytest.fixture(params=LAYOUTS.values(), ids=LAYOUTS.keys())
def images(request: pytest.FixtureRequest) -> Tensor:
    return request.param(torch.rand(3, 4, 6, 7, generator=torch.Generator().manual_seed(0)))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Tensor]]:
    """The tensors that the C++ kernel of blend is called with, when it runs on the far side."""
    found: list[Tensor] = []
    kernels = backends.load("blend", "cpu")
    if isinstance(kernels, str):
        pytest.skip(kernels)
    for name in ("blend", "blend_backward"):
        original = getattr(kernels, name)
        monkeypatch.setattr(kernels, name, lambda *inputs, _call=original: (found.extend(inputs), _call(*inputs))[1])
    with ferry.ferried("cpu", ["cpu"]):
        yield found


def test_a_tensor_arrives_as_it_was(images: Tensor) -> None:
    arrived = ferry.carried(images, "cpu")
    assert torch.equal(arrived, images)
    assert arrived.stride() == images.stride()
    if images.numel():
        assert arrived.data_ptr() != images.data_ptr()
        assert (arrived.data_ptr() - images.data_ptr()) % 16 == 0


def test_what_lies_between_the_elements_arrives_too() -> None:
    whole = torch.arange(24.0).view(4, 6)
    assert torch.equal(ferry.carried(whole[:, ::2], "cpu").as_strided((4, 5), (6, 1)), whole[:, :5])


def test_kernels_work_on_copies(images: Tensor, seen: list[Tensor]) -> None:
    """And the results, gradients included, are those of a call without a ferry."""
    size = images.shape[0], *images.shape[2:]
    mask, alpha = torch.rand(size) > 0.5, torch.rand(size[0])
    ferried, plain = [], []
    for backend, results in (("cpu", ferried), ("reference", plain)):
        leaves = [x.detach().requires_grad_() for x in (images, images.flip(0), alpha)]
        result = ops.blend(leaves[0], leaves[1], mask, leaves[2], backend=backend)
        results += [result, *torch.autograd.grad(result.sum(), leaves)]
    for ours, theirs in zip(ferried, plain, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert seen[0].stride() == images.stride()
    assert all(x.data_ptr() != images.data_ptr() for x in seen if images.numel())
    assert len(seen) == 4 + 5  # forward and backward


def test_what_an_op_changes_in_place_comes_back() -> None:
    """Covariance adds to tensors that it is given."""
    if isinstance(backends.load("covariance", "cpu"), str):
        pytest.skip("covariance has no C++ kernel")
    x = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    expected = ops.covariance(x, backend="cpu")
    with ferry.ferried("cpu", ["cpu"]):
        actual = ops.covariance(x, backend="cpu")
    for ours, theirs in zip(actual, expected, strict=True):
        assert torch.equal(torch.as_tensor(ours), torch.as_tensor(theirs))


def test_backends_of_the_far_side_are_offered_inside_only() -> None:
    before = backends.available("blend", "cpu")
    with ferry.ferried("cpu"):
        offered = backends.available("blend", "cpu")
        assert set(offered) - set(before) <= {"triton", "cuda"}
        assert ("triton" in offered) == (not isinstance(backends.load("blend", "triton"), str))
        assert backends.choose("blend", "cpu")[0] == before[-1]  # auto is what it was
    assert backends.available("blend", "cpu") == before


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_the_tests_of_an_op_run_on_the_far_side() -> None:
    """Those of blend's Triton kernel and no others, interpreted: the CPU is the device that they are carried to."""
    environment = {**os.environ, "DSSM_TEST_DEVICE": "cpu", "TRITON_INTERPRET": "1"}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "tests/ops/test_blend.py",
        "-k",
        "sizes or leaks",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "5 passed" in done.stdout
