# SPDX-License-Identifier: Apache-2.0
"""Our own kernels, each broken by changing a few words of its source: some check of the interpreter must notice."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

import dssm
from dssm import backends
from dssm.cli.bench import module

guard, interpreter, cases = module("guard"), module("interpreter"), module("cases")
KERNELS = Path(__file__).parents[2] / "kernels"
SIDE = 48  # several programs per image
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-3, torch.bfloat16: 3e-2, torch.float16: 4e-3}


@dataclass(frozen=True)
class Mutant:
    """`old` becomes `new` in a file of kernels/; then `check`, of the guard or "result", fails a case of the op."""

    op: str
    case: str
    file: str
    old: str
    new: str
    check: str

    def __str__(self) -> str:
        return f"{self.file}: {self.old}"


MUTANTS = [
    Mutant("blend", "float32 contiguous", "blend.py", "place < height * width", "place <= height * width", "race"),
    Mutant("blend", "float32 contiguous", "blend.py", "mask=inside, other=0)  #", "mask=inside)  #", "other"),
    Mutant("blend", "float32 contiguous", "blend.py", "p_image += s_image_c", "p_image += 9999 * s_image_c", "bounds"),
    Mutant("blend", "float32 contiguous", "blend.py", "p_out += i_sample * channels *", "p_out += i_sample *", "race"),
    Mutant("blend", "float32 contiguous", "blend.py", "p_sums + tl.program_id(0),", "p_sums + i_sample,", "race"),
    Mutant(
        *("blend", "float32 contiguous", "blend.py"),
        "tl.store(p_sums + tl.program_id(0),",
        "tl.atomic_add(p_sums + i_sample,",
        "uninitialised",
    ),
    Mutant("blend", "float32 contiguous", "blend.py", "p_out += height * width", "p_out += 0", "result"),
    Mutant("blend", "uint8 contiguous", "blend.py", " + 32768) >> 16", ") >> 16", "result"),
    Mutant("blend", "float64 contiguous", "blend.py", "tl.float64 if dtype == tl.float64 else ", "", "result"),
    Mutant("blend", "float16 contiguous", "blend.py", "weight * b_grad, b_grad)", "b_grad, b_grad)", "result"),
    Mutant("blend", "float16 contiguous", "blend.py", "p_grad += s_grad_c", "p_grad += s_grad_x", "result"),
    Mutant("augment", "contiguous", "augment.py", "(tl.uint8), mask=m_pixel)", "(tl.uint8), mask=place >= 0)", "race"),
    Mutant("augment", "contiguous", "augment.py", "(channels == 3):", "(channels == 4):", "result"),
    Mutant("augment", "contiguous", "augment.py", "mask=m_inner, other=0", "mask=m_pixel, other=0", "bounds"),
    Mutant(
        *("component", "47x97 8", "component.py"),
        "tl.load(p_mask, mask=m_word[:, None] & (x < width), other=0)",
        "tl.load(p_mask, mask=m_word[:, None], other=0)",
        "bounds",
    ),
    Mutant("component", "47x97 8", "component.py", "if first == 0:", "if first >= 0:", "race"),
    Mutant(
        *("component", "47x97 8", "component_runs.py"),
        'tl.atomic_min(p_parent + high, low, mask=m_open, sem="relaxed")',
        "tl.load(p_parent + high, mask=m_open, other=0)",
        "result",
    ),
    Mutant("covariance", "float32 shared", "covariance.py", "m_x = (point < points)", "m_x = (point >= 0)", "bounds"),
    Mutant("covariance", "float32 shared", "covariance.py", "axis=0) / points", "axis=0) / (points + 1)", "result"),
    Mutant("hog", "float32 contiguous skimage", "hog_backward.py", "m_pixel & (y > 0))", "m_pixel)", "bounds"),
    Mutant(
        *("hog", "float32 contiguous skimage", "hog_backward.py"),
        "tl.store(p_steps + tl.cast(batch, tl.int64) * height * width, back_x",
        "tl.store(p_steps, back_x",
        "uninitialised",
    ),
    Mutant("hog", "float32 contiguous skimage", "hog_backward.py", "earned -= ", "earned += ", "result"),
    Mutant("hog", "float32 contiguous opencv", "hog_votes.py", "(BINS / _PI) - 0.5", "(BINS / _PI)", "result"),
    Mutant(
        *("mahalanobis", "float32 contiguous shared", "mahalanobis.py"), "b_x - b_mean,", "b_x + 0 * b_mean,", "result"
    ),
    Mutant(
        *("mahalanobis", "float32 contiguous shared", "mahalanobis.py"),
        "row * s_whiten_k, mask=m_channel[:, None] & m_row",
        "row * s_whiten_k, mask=(channel >= 0)[:, None] & m_row",
        "bounds",
    ),
    Mutant("mscm", "float32 contiguous", "mscm_map.py", "(tap // 2 * 2 - 1)", "(tap % 2 * 2 - 1)", "result"),
    Mutant("mscm", "float32 contiguous", "mscm_map.py", "m_seen = (row >= 0) & ", "m_seen = ", "bounds"),
    Mutant("paste", "float32 contiguous", "paste_noise.py", "p_peak + tl.program_id(0),", "p_peak + i_sample,", "race"),
    Mutant("paste", "float32 contiguous", "paste_noise.py", "word, mask=row < height)", "word)", "race"),
    Mutant(
        "paste", "float32 contiguous kinds", "paste.py", "inside & noisy, inside & ~noisy", "inside, inside", "result"
    ),
    Mutant("perlin", "48x48 rotated", "perlin.py", "mask=(y < height) & (x < width))", "mask=y < height)", "barrier"),
    Mutant("region", "47x97", "region.py", "p_area + root, mask=m_run", "p_area + node, mask=m_run", "result"),
    Mutant("region", "47x97", "region.py", "mask=m_word[:, None] & (x < width))", "mask=m_word[:, None])", "duplicate"),
    Mutant("perlin", "48x48 rotated", "perlin.py", "- 0.5) * (_PI", "- 0.25) * (_PI", "result"),
]


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """Inside, `dssm.kernels` is this folder."""
    before = taken_out(), dssm.kernels
    spec = importlib.util.spec_from_file_location(
        "dssm.kernels", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    dssm.kernels = sys.modules["dssm.kernels"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(dssm.kernels)
    try:
        yield
    finally:
        taken_out()
        sys.modules.update(before[0])
        dssm.kernels = before[1]


def taken_out() -> dict[str, ModuleType]:
    """The modules of the kernels, which are to be imported anew."""
    backends.load.cache_clear()
    backends._choose.cache_clear()
    names = [name for name in sys.modules if f"{name}.".startswith("dssm.kernels.")]
    return {name: sys.modules.pop(name) for name in names}


def case_of(op: str, name: str) -> cases.Case:
    return next(case for case in cases.of(op, SIDE) if case.name == name)


def run(case: cases.Case) -> str:
    """The check that a case fails, or "" if it passes."""
    try:
        with interpreter.faithful(), guard.Guard().watching():
            actual = case.run("triton")
    except guard.GuardError as error:
        return error.check
    return "" if agree(case.op, actual, case.run("reference")) else "result"


def agree(op: str, actual: list[Tensor], expected: list[Tensor]) -> bool:
    """But for one element in a thousand: noise may lie on a threshold."""
    if op == "covariance":
        actual, expected = ([mean, scatter.tril()] for mean, scatter in (actual, expected))
    return all(close(mine, theirs).double().mean() >= 0.999 for mine, theirs in zip(actual, expected, strict=True))


def close(actual: Tensor, expected: Tensor) -> Tensor:
    tolerance = TOLERANCE.get(expected.dtype, 0)
    actual, expected = actual.double(), expected.double()
    scale = float(expected.nan_to_num(0, 0, 0).abs().max()) if expected.numel() else 0.0
    return torch.isclose(actual, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True)


@pytest.mark.parametrize("op", cases.kernel_ops())
def test_every_op_has_mutants(op: str) -> None:
    assert op in {mutant.op for mutant in MUTANTS}


@pytest.mark.parametrize("case", sorted({(mutant.op, mutant.case) for mutant in MUTANTS}), ids=" ".join)
def test_unbroken_kernels_pass(case: tuple[str, str]) -> None:
    assert run(case_of(*case)) == ""


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_broken_kernels_fail(mutant: Mutant, tmp_path: Path) -> None:
    folder = shutil.copytree(KERNELS, tmp_path / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    source = (folder / mutant.file).read_text()
    assert mutant.old in source, "the kernel changed: so must its mutant"
    (folder / mutant.file).write_text(source.replace(mutant.old, mutant.new))
    with installed(folder):
        assert run(case_of(mutant.op, mutant.case)) == mutant.check
