# SPDX-License-Identifier: Apache-2.0
"""What nvcc makes of the CUDA kernels, with the build's flags: no spills, no more registers and memory than budgeted.

`python -m tests.gpu.test_nvcc` compiles them and rewrites budget_cuda.json.
"""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.gpu.mutants import ROOT, Edit
from tests.gpu.mutants.cuda import COSTS

BUDGET = Path(__file__).with_name("budget_cuda.json")

_build = runpy.run_path(str(ROOT / "setup.py"))
NVCC = _build["find_nvcc"]()
ARCHITECTURES = ["7.5", "8.0", "9.0", "10.0", "12.0"]  # a generation each
SOURCES = [ROOT / path for path in _build["CUDA_SOURCES"] if path.endswith(".cu")]

pytestmark = pytest.mark.skipif(NVCC is None, reason="CUDA KERNELS NOT COMPILED: nvcc was not found")


@cache
def compiled(source: Path, architecture: str) -> dict[str, dict[str, int]]:
    """What ptxas says of every kernel of a file."""
    flags = [*_build["NVCC_FLAGS"], *_build["code_flags"]([architecture]), "-Xptxas=-v"]
    command = [NVCC, *flags, "-cubin", str(source), "-o", "/dev/null"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    parts = done.stderr.split("Compiling entry function '")[1:]
    return {_name(part.split("'")[0]): _resources(part) for part in parts}


def _name(mangled: str) -> str:
    found = re.search(r"[a-z_]+_kernel", mangled)
    assert found, f"{mangled} is no name of a kernel"
    return found[0]


def _resources(said: str) -> dict[str, int]:
    def total(pattern: str) -> int:
        return sum(int(found) for found in re.findall(pattern, said))

    return {
        "registers": total(r"Used (\d+) registers"),
        "shared": total(r"(\d+) bytes smem"),
        "stack": total(r"(\d+) bytes cumulative stack"),
        "spills": total(r"(\d+) bytes spill (?:stores|loads)"),
    }


def measure() -> dict[str, dict[str, dict[str, int]]]:
    """Kernel -> architecture -> resources."""
    budget: dict[str, dict[str, dict[str, int]]] = {}
    for source in SOURCES:
        for architecture in ARCHITECTURES:
            for kernel, resources in compiled(source, architecture).items():
                budget.setdefault(kernel, {})[architecture] = resources
    return budget


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_kernels_stay_within_their_budget(source: Path, architecture: str) -> None:
    assert architecture in _build["ARCHITECTURES"]
    assert over_budget(source, architecture) == set()


@pytest.mark.parametrize("mutant", COSTS, ids=lambda mutant: mutant.name)
def test_mutants_are_caught(mutant: Edit, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "csrc", tmp_path / "csrc", ignore=shutil.ignore_patterns("cpu"))
    mutant.plant(tmp_path)
    assert mutant.caught in over_budget(tmp_path / mutant.file, "8.0")


def over_budget(source: Path, architecture: str) -> set[str]:
    """The resources of which a kernel of the file takes too much."""
    budget = json.loads(BUDGET.read_text())
    kernels = compiled(source, architecture)
    assert kernels, f"{source.name} has no kernel"
    return {
        name
        for kernel, resources in kernels.items()
        for name, amount in resources.items()
        if amount > (0 if name == "spills" else budget[kernel][architecture][name])
    }


def test_the_runtime_comes_along() -> None:
    """A user of a wheel needs a driver, and no toolkit."""
    built = list((ROOT / "dssm").glob("_C_cuda*.so"))
    if not built:
        pytest.skip("CUDA KERNELS NOT BUILT: DSSM_BUILD_CUDA=1 says why")
    listed = subprocess.run(["readelf", "-d", str(built[0])], capture_output=True, text=True, check=True).stdout
    assert "libstdc++" in listed
    assert "cudart" not in listed
    assert "libcuda" not in listed


if __name__ == "__main__":
    BUDGET.write_text(json.dumps(measure(), indent=2) + "\n")
