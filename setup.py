# SPDX-License-Identifier: Apache-2.0
"""Builds dssm._C_<level> from csrc/ with ninja, once per level of vector instructions; dssm/_native.py loads the best.

Needs a C++17 compiler and pybind11, and neither torch nor a GPU. DSSM_BUILD_ISA=avx2,scalar builds fewer levels,
DSSM_SANITIZE=address,undefined adds the compiler's checks (.ci/sanitize runs the tests with them).
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import ninja
import pybind11
from ninja import ninja_syntax
from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent.resolve()
SOURCES = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "csrc").rglob("*.cpp"))]

# Whole modules, not functions, differ by level: then no template that two levels share can end up with the other's
# instructions. "scalar" is what every processor of the family runs, and is always built.
LEVELS = {
    "x86_64": {
        "scalar": [],
        "avx2": ["-march=x86-64-v3"],
        "avx512": ["-march=x86-64-v4", "-mprefer-vector-width=512"],
    },
    "aarch64": {"scalar": ["-DDSSM_PORTABLE"], "neon": []},
}
FAMILIES = {"AMD64": "x86_64", "arm64": "aarch64"}


class NinjaBuild(build_ext):
    """One ninja edge per source file: parallel, incremental, headers tracked by the compiler's dependency files."""

    def build_extension(self, ext: Extension) -> None:
        compiler = find_compiler()
        target = Path(self.get_ext_fullpath(ext.name)).resolve()
        level = ext.name.rpartition("_")[2]
        folder = Path(self.build_temp).resolve() / level
        folder.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(folder / "build.ninja", "w") as file:
            flags = [*LEVELS[family()][level], f"-DDSSM_MODULE=_C_{level}"]
            write_rules(ninja_syntax.Writer(file), compiler, flags, target, ext.sources, self.include_dirs)
        jobs = ["-j", os.environ["MAX_JOBS"]] if "MAX_JOBS" in os.environ else []
        command = [str(Path(ninja.BIN_DIR) / "ninja"), "-C", str(folder), *jobs]
        if subprocess.run(command).returncode:
            raise SystemExit("dssm: the C++ extension did not compile; the compiler's messages are above")


def family() -> str:
    """The processor's family; one that is not listed builds the scalar level alone."""
    machine = FAMILIES.get(platform.machine(), platform.machine())
    LEVELS.setdefault(machine, {"scalar": []})
    return machine


def levels() -> list[str]:
    """The levels to build: all of the family, or those that DSSM_BUILD_ISA names."""
    known = LEVELS[family()]
    asked = [name for name in os.environ.get("DSSM_BUILD_ISA", "").split(",") if name] or list(known)
    unknown = sorted(set(asked) - set(known))
    if unknown:
        raise SystemExit(f"dssm: DSSM_BUILD_ISA names {', '.join(unknown)}; known here are {', '.join(known)}")
    return sorted({"scalar", *asked})


def find_compiler() -> list[str]:
    """$CXX, else c++, g++ or clang++; tried on a small program, so that a missing one is said in one sentence."""
    candidates = [os.environ["CXX"]] if os.environ.get("CXX") else ["c++", "g++", "clang++"]
    for candidate in candidates:
        command = shlex.split(candidate)
        if command and shutil.which(command[0]) and compiles(command, "-std=c++17"):
            return command
    raise SystemExit(
        f"dssm: no working C++17 compiler found (tried {', '.join(candidates)}); "
        "install g++ or clang++, or name one in the environment variable CXX"
    )


def sanitizers(compiler: list[str]) -> list[str]:
    """Flags for the checks that DSSM_SANITIZE names; the first mistake ends the process."""
    asked = os.environ.get("DSSM_SANITIZE")
    if not asked:
        return []
    if not compiles(compiler, f"-fsanitize={asked}"):
        raise SystemExit(f"dssm: {shlex.join(compiler)} does not know DSSM_SANITIZE={asked}; try address,undefined")
    return [f"-fsanitize={asked}", "-fno-sanitize-recover=all"]


def compiles(compiler: list[str], *flags: str) -> bool:
    """Whether the compiler takes the flags."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.cpp")
        source.write_text("#include <vector>\nint main() { return std::vector<int>().size(); }\n")
        command = [*compiler, *flags, "-c", str(source), "-o", str(source.with_suffix(".o"))]
        return subprocess.run(command, capture_output=True).returncode == 0


def write_rules(
    writer: ninja_syntax.Writer,
    compiler: list[str],
    level: list[str],
    target: Path,
    sources: list[str],
    includes: list[str],
) -> None:
    """The build graph: object files, then one shared library."""
    # -Wno-psabi: vectors cross no boundary between modules, so how a level passes them is its own affair.
    flags = ["-std=c++17", "-O3", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wno-psabi", *level]
    # Values stay exactly IEEE's: no contraction into FMA. Nothing looks at errno or floating-point traps, and without
    # them loops vectorise.
    flags += ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
    if compiles(compiler, "-fopenmp"):
        flags.append("-fopenmp")
    checks = sanitizers(compiler)
    # Less optimised, fewer mistakes are optimised away, and compiling takes half the time.
    flags += [*checks, "-O1", "-g1", "-fno-omit-frame-pointer"] if checks else []
    flags += [f"-I{path}" for path in (ROOT / "csrc", pybind11.get_include(), *includes)]
    flags += shlex.split(os.environ.get("CXXFLAGS", ""))
    # No -fopenmp here: the OpenMP symbols are torch's, found when the extension is loaded (dssm/_native.py).
    link = ["-undefined", "dynamic_lookup", "-bundle"] if sys.platform == "darwin" else ["-shared"]
    link += [*checks, *shlex.split(os.environ.get("LDFLAGS", ""))]
    cxx = shlex.join(compiler)
    writer.rule("compile", f"{cxx} -MMD -MF $out.d {shlex.join(flags)} -c $in -o $out", depfile="$out.d", deps="gcc")
    writer.rule("link", f"{cxx} $in {shlex.join(link)} -o $out")
    objects = []
    for source in sources:
        objects += writer.build(f"{source}.o", "compile", str(ROOT / source))
    writer.build(str(target), "link", objects)
    writer.default(str(target))


setup(
    packages=[*find_packages(include=["dssm*"]), "dssm.bench", "dssm.kernels"],
    package_dir={"dssm.bench": "bench", "dssm.kernels": "kernels"},
    ext_modules=[Extension(f"dssm._C_{level}", SOURCES) for level in levels()],
    cmdclass={"build_ext": NinjaBuild},
)
