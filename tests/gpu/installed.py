# SPDX-License-Identifier: Apache-2.0
"""Other kernels in place of ours, in this process."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import dssm
from dssm import backends

from .mutants import ROOT, Edit


@contextmanager
def planted(mutant: Edit, root: Path) -> Iterator[None]:
    """Inside, `dssm.kernels` is a copy, below `root`, that has the mistake."""
    shutil.copytree(ROOT / "kernels", root / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    mutant.plant(root)
    with _installed(root / "kernels"):
        yield


@contextmanager
def _installed(folder: Path) -> Iterator[None]:
    before = _taken_out(), dssm.kernels
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
        _taken_out()
        sys.modules.update(before[0])
        dssm.kernels = before[1]


def _taken_out() -> dict[str, ModuleType]:
    """The modules of the kernels, which are to be imported anew."""
    backends.load.cache_clear()
    backends._choose.cache_clear()
    names = [name for name in sys.modules if f"{name}.".startswith("dssm.kernels.")]
    return {name: sys.modules.pop(name) for name in names}
