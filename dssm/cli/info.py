# SPDX-License-Identifier: Apache-2.0
"""`dssm info`."""

from __future__ import annotations

import os
import platform

import click


@click.command()
def info() -> None:
    """Print versions, the processor's features, and which backend runs each op and why."""
    import torch

    import dssm
    from dssm import _native, backends, ops
    from dssm.errors import BackendError

    click.echo(f"dssm {dssm.__version__}, torch {torch.__version__}, Python {platform.python_version()}")
    click.echo(f"system: {platform.platform()}, {os.cpu_count()} cores, {torch.get_num_threads()} torch threads")
    try:
        lib = _native.load()
        openmp = f"OpenMP {lib.openmp()}" if lib.openmp() else "no OpenMP: one thread"
        features = " ".join(_native.features()) or "no vector unit known here"
        click.echo(f"C++ kernels: {_native.level()} of {', '.join(_native.levels())}, {openmp}")
        click.echo(f"processor: {features}")
    except (ImportError, BackendError) as error:
        click.echo(f"C++ kernels: not loaded ({error})")
    try:
        from dssm.cuda import lib as cuda

        click.echo(f"CUDA kernels: built for {cuda.architectures}")
    except ImportError as error:
        click.echo(f"CUDA kernels: not loaded ({error})")
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none that torch can use"
    click.echo(f"GPU: {gpu}")
    asked = os.environ.get("DSSM_BACKEND")
    click.echo(f"DSSM_BACKEND: {asked or 'not set (auto)'}")
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in devices:
        for op in ops.__all__:
            try:
                chosen, reasons = backends.explain(op, device)
            except BackendError as error:
                chosen, reasons = "none", [str(error)]
            click.echo(f"  {op:12} on {device}: {chosen}{''.join(f'; {reason}' for reason in reasons)}")
