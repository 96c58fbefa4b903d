# SPDX-License-Identifier: Apache-2.0
"""What the compiler for NVIDIA GPUs says of a kernel, kept beside the machine code in a cache of its own."""

from __future__ import annotations

import hashlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import triton
from triton.backends.nvidia.compiler import CUDABackend

from . import sass

DISASSEMBLED = (80, 90)  # the others would say no more, and take long


@contextmanager
def keeping() -> Iterator[None]:
    """Inside, the metadata of a compiled kernel has registers, bytes spilled per thread, and counts of instructions."""
    with triton.knobs.cache.scope(), patch.object(CUDABackend, "make_cubin", _telling(CUDABackend.make_cubin)):
        triton.knobs.cache.dir = os.path.join(triton.knobs.cache.home_dir, ".triton", f"dssm-{_version()}")
        yield


@cache
def _version() -> str:
    """Another one where these files changed: what is in Triton's cache, or an older one of ours, lacks what is kept."""
    files = (Path(str(module.__file__)) for module in (sass, sys.modules[__name__]))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _telling(original: Callable) -> Callable:
    """The last step of compiling, which also puts what is said of the result among what Triton's cache keeps."""

    def make_cubin(backend: Any, source: str, metadata: dict, *rest: Any) -> bytes:
        with triton.knobs.nvidia.scope(), redirect_stdout(io.StringIO()) as log:
            triton.knobs.nvidia.dump_ptxas_log = True
            cubin = original(backend, source, metadata, *rest)
        said = log.getvalue()
        metadata["registers"] = int(re.findall(r"Used (\d+) registers", said)[0])
        metadata["spills"] = sum(map(int, re.findall(r"(\d+) bytes spill", said)))
        metadata["sass"] = sass.count(cubin) if backend.target.arch in DISASSEMBLED else {}
        return cubin

    return make_cubin
