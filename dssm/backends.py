# SPDX-License-Identifier: Apache-2.0
"""Which implementation of an op runs.

Every backend is a package with one module per op, whose function of the op's name takes the same positional arguments:
`dssm.reference.hog.hog`, `dssm.cpu.hog.hog`, `dssm.kernels.hog.hog` (Triton), `dssm.cuda.hog.hog`.
A module may add `<op>_backward(grad, *arguments)`; where it does not, or returns None, the gradient is that of the
reference.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable
from functools import cache
from types import ModuleType

import torch

from dssm.errors import BackendError

PACKAGES = {"reference": "dssm.reference", "cpu": "dssm.cpu", "triton": "dssm.kernels", "cuda": "dssm.cuda"}
NAMES = ("auto", *PACKAGES)
_DEVICES = {"cpu": ("cpu", "reference"), "cuda": ("cuda", "triton", "reference")}
# Triton's interpreter runs its kernels on the memory of the CPU: slowly, to check them. Never chosen, only asked for.
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

_log = logging.getLogger("dssm")


@cache
def load(op: str, backend: str) -> ModuleType | str:
    """The module of an op in a backend, or the reason why there is none."""
    package = PACKAGES[backend]
    if reason := _missing(backend):
        return reason
    if importlib.util.find_spec(f"{package}.{op}") is None:
        return f"{package} has no {op} kernel"
    return importlib.import_module(f"{package}.{op}")


@cache
def _missing(backend: str) -> str:
    """Why a backend cannot be imported: the extension, triton or a driver is missing. Empty if it can."""
    try:
        importlib.import_module(PACKAGES[backend])
    except ImportError as error:
        return str(error)
    return ""


def available(op: str, device: str) -> list[str]:
    """The backends that can run an op on a type of device, the reference first."""
    return [name for name in PACKAGES if name in _order(device) and isinstance(load(op, name), ModuleType)]


def _order(device: str) -> tuple[str, ...]:
    """The backends of a type of device, the fastest first."""
    order = _DEVICES.get(device, ("reference",))
    return (*order, "triton") if device == "cpu" and INTERPRETED else order


def explain(op: str, device: str, backend: str | None = None) -> tuple[str, list[str]]:
    """The backend that runs an op on a type of device, and why no faster one. Raises BackendError if none can.

    `backend` None reads the environment variable DSSM_BACKEND. That is for a whole program, so ops that it has no
    kernel for go to the other backends, where as an argument it is an error.
    """
    wanted = backend or os.environ.get("DSSM_BACKEND") or "auto"
    if wanted not in NAMES:
        raise BackendError(f"backend {wanted!r} is not one of {', '.join(NAMES)}")
    order = _order(device)
    if wanted not in ("auto", *order):
        raise BackendError(f"backend {wanted!r} cannot run {op} on a tensor on {device}")
    if wanted != "auto":
        order = (wanted,) if backend or _missing(wanted) else (wanted, *order)
    reasons: list[str] = []
    for name in order:
        module = load(op, name)
        if isinstance(module, ModuleType):
            return name, reasons
        reasons.append(module)
    raise BackendError(f"backend {wanted!r} cannot run {op}: {'; '.join(reasons)}")


def choose(op: str, device: torch.device | str, backend: str | None = None) -> tuple[str, ModuleType]:
    """The backend that runs `op` on `device`, and its module.

    `backend` None reads the environment variable DSSM_BACKEND, else "auto": the fastest backend that can run.
    Raises BackendError when the backend asked for by name cannot run, with the reason.
    """
    return _choose(op, torch.device(device).type, backend or "", os.environ.get("DSSM_BACKEND", ""))


@cache
def _choose(op: str, device: str, backend: str, _environment: str) -> tuple[str, ModuleType]:
    """`choose`, once for every value of the environment variable, and logged."""
    name, reasons = explain(op, device, backend)
    _log.info("%s on %s: %s%s", op, device, name, "".join(f" ({reason})" for reason in reasons))
    module = load(op, name)
    assert isinstance(module, ModuleType)
    return name, module


def next_best(op: str, device: torch.device, backend: str) -> ModuleType:
    """The module that runs `op` on `device` where `backend` cannot: for sizes that it does not take, say."""
    order = _order(device.type)
    modules = (load(op, name) for name in order[order.index(backend) + 1 :])
    return next(module for module in modules if isinstance(module, ModuleType))


def implementation(op: str, device: torch.device, backend: str | None) -> Callable:
    """The function of the chosen backend."""
    return getattr(choose(op, device, backend)[1], op)
