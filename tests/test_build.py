# SPDX-License-Identifier: Apache-2.0
"""The extension builds without torch, and a missing compiler is said in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_csrc_knows_nothing_of_torch() -> None:
    sources = [path for path in (ROOT / "csrc").rglob("*") if path.suffix in {".cpp", ".h", ".cu"}]
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
