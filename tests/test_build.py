# SPDX-License-Identifier: Apache-2.0
"""The extension builds without torch, and a missing compiler is said in one sentence."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def build(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    folders = ["--build-lib", str(tmp_path / "lib"), "--build-temp", str(tmp_path / "temp")]
    command = [sys.executable, "setup.py", "-q", "build_ext", *folders]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True)


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_a_missing_compiler_is_one_sentence(tmp_path: Path, compiler: str) -> None:
    done = build(tmp_path, CXX=compiler)
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("dssm: ")]
    assert said == [
        f"dssm: no working C++17 compiler found (tried {compiler}); "
        "install g++ or clang++, or name one in the environment variable CXX"
    ]
    assert "Traceback" not in done.stderr


def test_an_unknown_sanitizer_is_one_sentence(tmp_path: Path) -> None:
    done = build(tmp_path, DSSM_SANITIZE="mistakes")
    assert done.returncode != 0
    said = [line for line in done.stderr.splitlines() if line.startswith("dssm: ")]
    assert len(said) == 1
    assert said[0].endswith(" does not know DSSM_SANITIZE=mistakes; try address,undefined")


@pytest.mark.parametrize("asked", ["", "undefined"])
def test_sources_are_compiled_with_the_sanitizers_asked_for(tmp_path: Path, asked: str) -> None:
    """By a compiler that writes down what it is told and compiles nothing but the probes."""
    log, compiler = tmp_path / "log", tmp_path / "compiler"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *probe.cpp*) exit 0;; esac\necho "$@" >> {log}\nexit 1\n')
    compiler.chmod(0o755)
    done = build(tmp_path, CXX=str(compiler), DSSM_SANITIZE=asked, DSSM_BUILD_ISA="scalar", MAX_JOBS="1")
    assert "the C++ extension did not compile" in done.stderr
    assert ("-fsanitize=undefined -fno-sanitize-recover=all" in log.read_text()) == bool(asked)


def toolkit(folder: Path) -> dict[str, str]:
    """A C++ compiler that makes empty files, and an nvcc that knows two architectures and fails."""
    scripts = {
        "compiler": 'while [ $# -gt 1 ]; do [ "$1" = -o ] && touch "$2"; shift; done',
        "bin/nvcc": '[ "$1" = --list-gpu-arch ] && echo compute_80 compute_90 && exit 0; echo no; exit 1',
    }
    (folder / "bin").mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return {"CXX": str(folder / "compiler"), "CUDA_HOME": str(folder), "DSSM_BUILD_ISA": "scalar", "DSSM_SANITIZE": ""}


@pytest.mark.parametrize(
    ("asked", "fails", "said"),
    [
        ("", False, ["dssm: the CUDA kernels did not compile and are left out; DSSM_BUILD_CUDA=1 says why"]),
        ("0", False, []),
        ("1", True, ["dssm: the CUDA extension did not compile; the compiler's messages are above"]),
    ],
)
def test_cuda_kernels_that_do_not_compile(tmp_path: Path, asked: str, fails: bool, said: list[str]) -> None:
    """They are one line of the log, unless they were asked for."""
    done = build(tmp_path, DSSM_BUILD_CUDA=asked, **toolkit(tmp_path))
    assert bool(done.returncode) == fails, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("dssm: ")] == said
    assert list((tmp_path / "lib").glob("dssm/_C_scalar*"))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"DSSM_BUILD_CUDA": "yes"}, "dssm: DSSM_BUILD_CUDA=yes is not one of 0, 1, auto"),
        (
            {"DSSM_BUILD_CUDA": "1", "CUDA_HOME": "/nowhere"},
            "dssm: DSSM_BUILD_CUDA=1, but there is no nvcc in $CUDA_HOME/bin or on the path",
        ),
        (
            {"DSSM_BUILD_CUDA": "1", "TORCH_CUDA_ARCH_LIST": "8.0;Hopper"},
            "dssm: TORCH_CUDA_ARCH_LIST names Hopper; name compute capabilities, like 8.0 or 9.0+PTX",
        ),
    ],
)
def test_a_wrong_wish_for_cuda_is_one_sentence(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    done = build(tmp_path, **{**toolkit(tmp_path), **settings})
    assert done.returncode != 0
    assert [line for line in done.stderr.splitlines() if line.startswith("dssm: ")] == [said]


def test_architectures_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    setup = runpy.run_path(str(ROOT / "setup.py"))
    nvcc = str(Path(toolkit(tmp_path)["CUDA_HOME"]) / "bin" / "nvcc")
    monkeypatch.delenv("TORCH_CUDA_ARCH_LIST", raising=False)
    assert setup["architectures"](nvcc) == ["8.0", "9.0+PTX"]
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.6; 9.0a+PTX")
    assert setup["code_flags"](setup["architectures"](nvcc)) == [
        "-gencode=arch=compute_86,code=sm_86",
        "-gencode=arch=compute_90a,code=sm_90a",
        "-gencode=arch=compute_90a,code=compute_90a",
    ]


def test_csrc_knows_nothing_of_torch() -> None:
    sources = [path for path in (ROOT / "csrc").rglob("*") if path.suffix in {".cpp", ".h", ".cu", ".cuh"}]
    assert sources
    assert [path.name for path in sources if "#include <torch" in path.read_text() or "ATen" in path.read_text()] == []


def test_the_extension_links_no_openmp_of_its_own() -> None:
    """torch's is used; see dssm/_native.py."""
    if sys.platform != "linux":
        pytest.skip("readelf is Linux's")
    from dssm import _native

    listed = subprocess.run(
        ["readelf", "-d", _native.load().__file__], capture_output=True, text=True, check=True
    ).stdout
    assert "libstdc++" in listed
    assert "gomp" not in listed
    assert "libtorch" not in listed


def test_wheels_and_source_archives_hold_the_report(tmp_path: Path) -> None:
    """Its page, style and scripts are no Python, so setuptools has to be told of them."""
    expected = {path.name for path in (ROOT / "dssm" / "report").iterdir() if path.suffix in {".html", ".css", ".js"}}
    assert len(expected) > 2
    archive = ["egg_info", "--egg-base", str(tmp_path), "sdist", "--formats=tar", "--dist-dir", str(tmp_path)]
    for command in (["build_py", "--build-lib", str(tmp_path / "wheel")], archive):
        subprocess.run([sys.executable, "setup.py", "-q", *command], cwd=ROOT, capture_output=True, check=True)
    assert expected <= {path.name for path in (tmp_path / "wheel/dssm/report").iterdir()}
    with tarfile.open(next(tmp_path.glob("*.tar"))) as tar:
        assert expected <= {Path(name).name for name in tar.getnames() if "/dssm/report/" in name}
