# SPDX-License-Identifier: Apache-2.0
"""Builds dssm._C_<level> from csrc/ with ninja, once per level of vector instructions; dssm/_native.py loads the best.

Needs a C++17 compiler and pybind11, and neither torch nor a GPU. DSSM_BUILD_ISA=avx2,scalar builds fewer levels,
DSSM_SANITIZE=address,undefined adds the compiler's checks (.ci/sanitize runs the tests with them).

dssm._C_cuda is built where nvcc is found, whether or not there is a GPU: DSSM_BUILD_CUDA=0 leaves it out, 1 makes it
an error that it cannot be built. TORCH_CUDA_ARCH_LIST="8.0;9.0+PTX" names other architectures than the usual ones.
"""

from __future__ import annotations

import os
import platform
import re
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
SOURCES = ["csrc/bind.cpp", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "csrc" / "cpu").glob("*.cpp")))]
CUDA_SOURCES = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "csrc" / "cuda").glob("*.c*[pu]"))]

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

# Compute capabilities that are compiled for where TORCH_CUDA_ARCH_LIST does not name others, as far as nvcc knows them.
ARCHITECTURES = ["7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0"]
# As for the CPU: multiplications and additions are not fused, so that values are those of the other backends.
NVCC_FLAGS = ["-std=c++17", "-O3", "--expt-relaxed-constexpr", "-fmad=false", f"-I{ROOT / 'csrc'}"]


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
            writer = ninja_syntax.Writer(file)
            if level == "cuda":
                write_cuda_rules(writer, compiler, target, ext.sources, self.include_dirs)
            else:
                flags = [*LEVELS[family()][level], f"-DDSSM_MODULE=_C_{level}"]
                write_rules(writer, compiler, flags, target, ext.sources, self.include_dirs)
        jobs = ["-j", os.environ["MAX_JOBS"]] if "MAX_JOBS" in os.environ else []
        command = [str(Path(ninja.BIN_DIR) / "ninja"), "-C", str(folder), *jobs]
        if not subprocess.run(command, stdout=subprocess.DEVNULL if ext.optional else None).returncode:
            return
        if not ext.optional:
            what = "CUDA" if level == "cuda" else "C++"
            raise SystemExit(f"dssm: the {what} extension did not compile; the compiler's messages are above")
        print("dssm: the CUDA kernels did not compile and are left out; DSSM_BUILD_CUDA=1 says why", file=sys.stderr)


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


def find_nvcc() -> str | None:
    """That of $CUDA_HOME, else the one on the path, else where toolkits are installed."""
    home = os.environ.get("CUDA_HOME") or os.environ.get("CUDA_PATH")
    return (
        shutil.which("nvcc", path=f"{home}/bin")
        if home
        else shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
    )


def cuda_extensions() -> list[Extension]:
    """The CUDA extension, if it is to be built; one that nobody asked for may fail."""
    asked = os.environ.get("DSSM_BUILD_CUDA") or "auto"
    if asked not in ("0", "1", "auto"):
        raise SystemExit(f"dssm: DSSM_BUILD_CUDA={asked} is not one of 0, 1, auto")
    if asked == "1" and not find_nvcc():
        raise SystemExit("dssm: DSSM_BUILD_CUDA=1, but there is no nvcc in $CUDA_HOME/bin or on the path")
    wanted = asked == "1" or (asked == "auto" and find_nvcc() and not os.environ.get("DSSM_SANITIZE"))
    return [Extension("dssm._C_cuda", CUDA_SOURCES, optional=asked == "auto")] if wanted else []


def architectures(nvcc: str) -> list[str]:
    """Compute capabilities, "8.0"; "+PTX" behind one adds code that newer devices translate for themselves."""
    asked = os.environ.get("TORCH_CUDA_ARCH_LIST", "").replace(";", " ").split()
    for name in asked:
        if not re.fullmatch(r"\d+\.\d[af]?(\+PTX)?", name):
            raise SystemExit(f"dssm: TORCH_CUDA_ARCH_LIST names {name}; name compute capabilities, like 8.0 or 9.0+PTX")
    if asked:
        return asked
    listed = subprocess.run([nvcc, "--list-gpu-arch"], capture_output=True, text=True).stdout.split()
    known = [name for name in ARCHITECTURES if f"compute_{name.replace('.', '')}" in listed]
    return [*known[:-1], f"{known[-1]}+PTX"]


def code_flags(names: list[str]) -> list[str]:
    """What nvcc makes for the architectures."""
    flags = []
    for name in names:
        number = name.removesuffix("+PTX").replace(".", "")
        flags.append(f"-gencode=arch=compute_{number},code=sm_{number}")
        if name.endswith("+PTX"):
            flags.append(f"-gencode=arch=compute_{number},code=compute_{number}")
    return flags


def write_cuda_rules(
    writer: ninja_syntax.Writer, compiler: list[str], target: Path, sources: list[str], includes: list[str]
) -> None:
    """The build graph of the CUDA extension; the runtime is linked into it: users need a driver and no toolkit."""
    nvcc = find_nvcc()
    assert nvcc
    names = architectures(nvcc)
    host = ["-ccbin", shutil.which(compiler[0])] if len(compiler) == 1 else []
    flags = [*NVCC_FLAGS, *host, *code_flags(names), "-Xcompiler=-fPIC,-fvisibility=hidden"]
    flags += ["-t", os.environ.get("MAX_JOBS", "0")]  # architectures at a time; 0: as many as processors
    cxx_flags = ["-std=c++17", "-O2", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"]
    cxx_flags += [f"-I{path}" for path in (ROOT / "csrc", pybind11.get_include(), *includes)]
    cxx_flags.append(f'-DDSSM_CUDA_ARCHITECTURES="{" ".join(names)}"')
    link = ["-shared", "-cudart=static", *host]
    depend = {"depfile": "$out.d", "deps": "gcc"}
    writer.rule("cuda", f"{nvcc} -MD -MF $out.d {shlex.join(flags)} -c $in -o $out", **depend)
    writer.rule("compile", f"{shlex.join(compiler)} -MMD -MF $out.d {shlex.join(cxx_flags)} -c $in -o $out", **depend)
    writer.rule("link", f"{nvcc} $in {shlex.join(link)} -o $out")
    objects = []
    for source in sources:
        objects += writer.build(f"{source}.o", "cuda" if source.endswith(".cu") else "compile", str(ROOT / source))
    writer.build(str(target), "link", objects)
    writer.default(str(target))


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


if __name__ == "__main__":
    setup(
        packages=[*find_packages(include=["dssm*"]), "dssm.bench", "dssm.kernels"],
        package_dir={"dssm.bench": "bench", "dssm.kernels": "kernels"},
        ext_modules=[*(Extension(f"dssm._C_{level}", SOURCES) for level in levels()), *cuda_extensions()],
        cmdclass={"build_ext": NinjaBuild},
    )
