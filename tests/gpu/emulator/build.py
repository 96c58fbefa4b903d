# SPDX-License-Identifier: Apache-2.0
"""Compiles the CUDA kernels for the CPU: g++ makes of them a library like the one that nvcc makes, dssm._C_cuda."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pybind11

HERE = Path(__file__).parent
CSRC = HERE.parents[2] / "csrc"

# -fno-gnu-unique: libraries of several kernels live in one process, each with variables of its own.
_COMMON = ["g++", "-std=c++17", "-g1", "-fPIC", "-fno-gnu-unique", "-Wall", "-Wextra", "-Wno-unknown-pragmas"]
# Every access to memory becomes a call (checks.cpp); one to a volatile is told apart.
_CHECKED = ["-O1", "-ffp-contract=off", "-fsanitize=thread", "--param", "tsan-distinguish-volatile=1", "-x", "c++"]


def missing() -> str | None:
    """Why the emulator cannot be built here."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"the emulator has run on Linux on x86_64 alone, not {platform.system()} on {platform.machine()}"
    return None if shutil.which("g++") else "the emulator is built with g++, which was not found"


def build(folder: Path) -> Path:
    """Compile all of it into `folder` and return the library."""
    include = [f"-I{path}" for path in (CSRC, pybind11.get_include(), sysconfig.get_path("include"))]
    for source in HERE.glob("*.cpp"):
        _compile(source, folder / f"{source.stem}.o", "-O2")
    bind = CSRC / "cuda" / "bind.cpp"
    _compile(bind, folder / "bind.o", *include, '-DDSSM_CUDA_ARCHITECTURES="the CPU"')
    return rebuild(CSRC, folder, folder)


def rebuild(csrc: Path, built: Path, folder: Path) -> Path:
    """Compile the kernels of the tree `csrc` into `folder`, with what `build` left behind in `built`."""
    kernels = [
        _compile(source, folder / f"{source.stem}.cu.o", f"-I{HERE}", f"-I{csrc}", *_CHECKED)
        for source in csrc.glob("cuda/*.cu")
    ]
    # Kernels come first: of a function that is in several object files the first is taken.
    library = folder / "_C_cuda.so"
    others = [path for path in built.glob("*.o") if not path.name.endswith(".cu.o")]
    subprocess.run(["g++", "-shared", *map(str, [*kernels, *others]), "-o", str(library), "-ldl"], check=True)
    return library


def _compile(source: Path, target: Path, *flags: str) -> Path:
    subprocess.run([*_COMMON, *flags, "-c", str(source), "-o", str(target)], check=True)
    return target
