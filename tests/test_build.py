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
