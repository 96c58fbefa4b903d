# SPDX-License-Identifier: Apache-2.0
"""Compiles the CUDA kernels for the CPU: g++ makes of them a library like the one that nvcc makes, dssm._C_cuda."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pybind11

HERE = Path(__file__).parent
CSRC = HERE.parents[2] / "csrc"

_COMMON = ["g++", "-std=c++17", "-O1", "-g1", "-fPIC", "-ffp-contract=off", "-Wall", "-Wextra", "-Wno-unknown-pragmas"]
# Every access to memory becomes a call (checks.cpp); one to a volatile is told apart.
_CHECKED = ["-fsanitize=thread", "--param", "tsan-distinguish-volatile=1", "-x", "c++"]


def missing() -> str | None:
    """Why the emulator cannot be built here."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"the emulator has run on Linux on x86_64 alone, not {platform.system()} on {platform.machine()}"
    return None if shutil.which("g++") else "the emulator is built with g++, which was not found"


def build(folder: Path) -> Path:
    """Compile all of it into `folder` and return the library."""
    with ThreadPoolExecutor(2) as pool:
        objects = pool.map(
            lambda source: compile_one(source, folder), [*HERE.glob("*.cpp"), CSRC / "cuda" / "bind.cpp"]
        )
        kernels = [compile_kernel(source, folder, CSRC) for source in CSRC.glob("cuda/*.cu")]
    return link([*kernels, *objects], folder / "_C_cuda.so")


def compile_one(source: Path, folder: Path) -> Path:
    """The object file of what is not checked."""
    include = [f"-I{path}" for path in (HERE, CSRC, pybind11.get_include(), sysconfig.get_path("include"))]
    return _compile(source, folder, *include, '-DDSSM_CUDA_ARCHITECTURES="the CPU"')


def compile_kernel(source: Path, folder: Path, csrc: Path) -> Path:
    """The object file of a .cu of the tree `csrc`."""
    return _compile(source, folder, f"-I{HERE}", f"-I{csrc}", *_CHECKED)


def _compile(source: Path, folder: Path, *flags: str) -> Path:
    target = folder / f"{source.name}.o"
    subprocess.run([*_COMMON, *flags, "-c", str(source), "-o", str(target)], check=True)
    return target


def link(objects: list[Path], library: Path) -> Path:
    """The library; kernels come first, for where functions are in several object files the first is taken."""
    subprocess.run(["g++", "-shared", *map(str, objects), "-o", str(library), "-ldl"], check=True)
    return library
