# SPDX-License-Identifier: Apache-2.0
"""One command for a machine with a GPU: all that no other machine can check of the GPU kernels, and their times.

    python -m dssm.bench.gpu_day --out gpu_day.json

Runs in a checkout. The findings of a step are in the file as soon as it is done, beside those of steps that were not
asked for again; a table of them is in a .txt beside it. Without a GPU it says what it would do, and ends with status 2.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import dssm
from dssm import files
from dssm.errors import BackendError, InputError

from . import gpu_times
from .gpu_suite import TOOLS, run_tests

# budget, cases and triton itself are imported where they are used: the plan is shown without them.

Findings = dict[str, Any]  # "ok" says whether the step has passed


def machine() -> Findings:
    """the device, its driver, and the versions of what compiles and runs"""
    import triton

    properties = torch.cuda.get_device_properties(0)
    query = "name,driver_version,clocks.max.sm,clocks.max.memory,power.limit"
    return {
        "ok": True,
        "device": properties.name,
        "architecture": architecture(),
        "processors": properties.multi_processor_count,
        "memory": properties.total_memory,
        "bandwidth of the data sheet": gpu_times.bandwidth(),
        query: _said("nvidia-smi", f"--query-gpu={query}", "--format=csv,noheader"),
        "nvcc": _said("nvcc", "--version"),
        "system": platform.platform(),
        "versions": {
            "python": platform.python_version(),
            "dssm": dssm.__version__,
            "torch": torch.__version__,
            "cuda of torch": torch.version.cuda,
            "triton": triton.__version__,
        },
    }


def budget() -> Findings:
    """registers and spills of every kernel as the driver loads it, beside the committed budget of this architecture"""
    from . import budget, cases

    expected = budget.by_case(budget.read()["rows"], architecture())
    if not expected:
        return {"ok": False, "reason": f"the budget knows no {architecture()}"}
    loaded: dict[str, list[Findings]] = {}
    for op in cases.kernel_ops():
        for case in cases.of(op):
            with _loading() as kernels:
                gpu_times.moved(case, "cuda").run("triton")
            loaded[str(case)] = [_figures(kernel) for kernel in kernels]
    slack = budget.SLACK["registers"]
    over = [line for case, rows in loaded.items() for line in over_budget(case, rows, expected.get(case, []), slack)]
    return {"ok": not over, "over": over, "kernels": loaded}


def times() -> Findings:
    """every case of every op, and the training step, beside PyTorch eager and compiled, and the data sheet's floor"""
    from . import cases

    rows: list[Findings] = []
    for op in cases.kernel_ops():
        for case in cases.of(op, gpu_times.SIDE, gpu_times.BATCH):
            limits = gpu_times.clocks(), gpu_times.bandwidth()
            rows += gpu_times.time_op(case, "cuda", *limits, torch.compile)
    for preset in ("paper", "quick"):
        rows += gpu_times.time_step(preset, "cuda", torch.compile)
    ours = [row for row in rows if row["system"].startswith("dssm")]
    return {"ok": all(isinstance(row["call"], list) for row in ours), "rows": rows}


STEPS: dict[str, tuple[str, Callable[[], Findings]]] = {
    "machine": (str(machine.__doc__), machine),
    "tests": ("the tests of all ops on the GPU, their tensors carried there and back", run_tests),
    **{
        tool: (f"the same, without the longest, under compute-sanitizer's {tool}", partial(run_tests, tool))
        for tool in TOOLS
    },
    "budget": (str(budget.__doc__), budget),
    "times": (str(times.__doc__), times),
}


def plan() -> str:
    """A line per step."""
    return "\n".join(f"{name:10} {what}" for name, (what, _) in STEPS.items())


def architecture() -> str:
    major, minor = torch.cuda.get_device_capability(0)
    return f"sm_{major}{minor}"


def over_budget(case: str, loaded: Sequence[Findings], expected: Sequence[Findings], slack: int) -> Iterator[str]:
    """What the kernels of a case take more of than they may; another compiler may take a few registers more."""
    names, wanted = ([row["kernel"] for row in rows] for rows in (loaded, expected))
    if names != wanted:
        yield f"{case} launches {', '.join(names)}, not {', '.join(wanted) or 'what the budget knows'}"
        return
    for kernel, allowed in zip(loaded, expected, strict=True):
        if kernel["spills"]:
            yield f"{case}: {kernel['kernel']} spills {kernel['spills']} registers"
        if kernel["registers"] > allowed["registers"] + slack:
            yield f"{case}: {kernel['kernel']} has {kernel['registers']} registers, not {allowed['registers']}"


def table(data: Findings) -> str:
    """The file for a reader: a line per step, then the times."""
    lines = [f"{name:10} {_verdict(data[name])}" for name in STEPS if name in data]
    rows = gpu_times.cells(data.get("times", {}).get("rows", []))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)]
    return "\n".join([*lines, "", "floor: the least bytes over the bandwidth of the data sheet, not a measurement"])


def _verdict(findings: Findings) -> str:
    if findings["ok"]:
        return "passed"
    return f"FAILED {findings.get('reason', '')}".rstrip()


def _attempt(step: Callable[[], Findings]) -> Findings:
    try:
        return step()
    except (InputError, BackendError, ImportError) as error:  # what is missing here does not stop the other steps
        return {"ok": False, "reason": str(error)}


def _said(*command: str) -> str:
    """What a program prints, "" where it is not installed."""
    try:
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except FileNotFoundError:
        return ""


@contextmanager
def _loading() -> Iterator[list[Any]]:
    """The kernels that Triton launches inside, in order."""
    from triton.runtime.jit import JITFunction

    run, kernels = JITFunction.run, []

    def remember(*arguments: Any, **options: Any) -> Any:
        kernels.append(run(*arguments, **options))
        return kernels[-1]

    with patch.object(JITFunction, "run", remember):
        yield kernels


def _figures(kernel: Any) -> Findings:
    return {"kernel": kernel.metadata.name, "registers": kernel.n_regs, "spills": kernel.n_spills}


def main(arguments: Sequence[str] | None = None) -> int:
    """Status 0 if all steps have passed, 1 if one has not, 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m dssm.bench.gpu_day", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("gpu_day.json"), help="the file of findings, json")
    parser.add_argument("--only", action="append", choices=STEPS, help="this step alone; repeatable")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print(f"{plan()}\n\ngpu_day: PyTorch sees no GPU here, so none of this was done; run it on a machine with one")
        return 2
    data: Findings = files.read_json(options.out) if options.out.exists() else {}
    wanted = options.only or list(STEPS)
    for name in wanted:
        what, step = STEPS[name]
        print(f"{name}: {what}", flush=True)
        data |= {"date": date.today().isoformat(), name: _attempt(step)}
        files.write_json(options.out, data)
    print(table(data))
    files.write_text(options.out.with_suffix(".txt"), table(data) + "\n")
    return 0 if all(data[name]["ok"] for name in wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
