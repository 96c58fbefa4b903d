# SPDX-License-Identifier: Apache-2.0
"""The ops and the training step timed on a GPU beside PyTorch, eager and compiled, and beside the floor of its memory.

`call` is the time from one event to the next around a call; `graph` that of its kernels alone, replayed from a CUDA
graph. The floor is no measurement: it is the least bytes that a call moves over the bandwidth of the data sheet.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from dssm import backends
from dssm.data.procedural import procedural
from dssm.methods.dssm import DSSM
from dssm.model import Network
from dssm.settings import preset
from dssm.training import loop

from .floors import size
from .inputs import surfaces

Row = dict[str, Any]
Times = list[float]  # milliseconds: the 20th, 50th and 80th percentile
Clock = Callable[[Callable[[], object]], Times]

QUANTILES = [0.2, 0.5, 0.8]
SIDE, BATCH = 256, 32
STEPS, WARM = 20, 3
HEADER = ("op and case", "system", "call, ms", "graph, ms", "x eager", "x compiled", "graph / floor")


def clocks() -> dict[str, Clock]:
    """Triton's. The first empties the caches between calls."""
    from triton import testing

    return {
        "call": lambda call: testing.do_bench(call, quantiles=QUANTILES),
        "graph": lambda call: testing.do_bench_cudagraph(call, quantiles=QUANTILES),
    }


def bandwidth() -> float:
    """Bytes per second on the data sheet: the clock and the width of the memory, as the driver gives them."""
    from triton import testing

    return testing.get_dram_gbps() * 1e9


def time_op(case: Any, device: str, clocks: dict[str, Clock], bandwidth: float, compile: Callable) -> list[Row]:
    """A row per system; a clock that could not take the time has its reason instead."""
    case = moved(case, device)
    floor = 1e3 * _bytes(case) / bandwidth
    kernels = [name for name in backends.available(case.op, device) if name not in ("reference", "cpu")]
    systems = {**{f"dssm {name}": name for name in kernels}, "eager": "reference"}
    rows = {system: _timed(case, backend, clocks) for system, backend in systems.items()}
    with _compiled_reference(case.op, compile):
        rows["compiled"] = _timed(case, "reference", clocks)
    return [{"op": case.op, "case": case.name, "system": system, "floor": floor, **row} for system, row in rows.items()]


def time_step(name: str, device: str, compile: Callable) -> list[Row]:
    """A training step of a preset: with our kernels, with the reference of every op, and its network compiled."""
    systems = {"dssm": ("auto", _same), "eager": ("reference", _same), "compiled": ("reference", compile)}
    rows = []
    for system, (backend, change) in systems.items():
        with patch.dict(os.environ, DSSM_BACKEND=backend):
            found = _attempt(partial(_steps, name, device, change))
        rows.append({"op": "step", "case": f"{name} {SIDE}x{SIDE}", "system": system, "floor": None, "call": found})
    return rows


def moved(case: Any, device: str) -> Any:
    """The case with its tensors on a device."""
    there = {name: getattr(case, name) for name in ("arguments", "options")}
    return dataclasses.replace(case, **tree_map_only(Tensor, lambda x: x.to(device), there))


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The table: medians, and how many times as fast as PyTorch in the same case."""
    lines: list[tuple[str, ...]] = [HEADER]
    for row in rows:
        same = {other["system"]: other for other in rows if (other["op"], other["case"]) == (row["op"], row["case"])}
        ratios = [
            _ratio(_median(same.get(system, {}), "call"), _median(row, "call")) for system in ("eager", "compiled")
        ]
        over = _ratio(_median(row, "graph"), row["floor"])
        times = [_short(_median(row, clock)) for clock in ("call", "graph")]
        lines.append((f"{row['op']} {row['case']}", row["system"], *times, *ratios, over))
    return lines


def _timed(case: Any, backend: str, clocks: dict[str, Clock]) -> Row:
    return {name: _attempt(partial(clock, partial(case.run, backend))) for name, clock in clocks.items()}


def _attempt(measure: Callable[[], Times]) -> Times | str:
    """The times, or why there are none: a compiler gave up, or a call waits for the device and so fits in no graph."""
    try:
        return measure()
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]


@contextmanager
def _compiled_reference(op: str, compile: Callable) -> Iterator[None]:
    """The PyTorch of the reference compiled; the op as a whole is opaque to a compiler."""
    reference = backends.load(op, "reference")
    assert isinstance(reference, ModuleType)
    with patch.object(reference, op, compile(getattr(reference, op))):
        yield


def _bytes(case: Any) -> float:
    """The least that a call moves: with gradients what goes forward twice, and the gradients themselves."""
    from .roofline import least

    results = dataclasses.replace(case, backward=False).run("reference")
    forward = least(case, results)
    return forward if not case.backward else 2 * forward + size(*case.run("reference")[len(results) :])


def _steps(name: str, device: str, change: Callable) -> Times:
    settings = preset(name).replace(size=(SIDE, SIDE), batch=BATCH, epochs=1000)
    torch.manual_seed(settings.seed)
    images = surfaces(2 * BATCH, SIDE, SIDE).to(device)
    textures = torch.from_numpy(procedural(BATCH, (SIDE, SIDE))).to(device)
    method = DSSM(settings)
    method.network = change(method.network.to(device).train())
    trainer = loop._Trainer(method, images, textures)
    seconds = []
    for number in range(WARM + STEPS):
        began = time.perf_counter()
        trainer.step(number)  # returns numbers: it has waited for the device
        seconds.append(time.perf_counter() - began)
    deciles = statistics.quantiles(seconds[WARM:], n=10, method="inclusive")  # within what was seen
    return [1e3 * deciles[round(10 * quantile) - 1] for quantile in QUANTILES]


def _same(network: Network) -> Network:
    return network


def _median(row: Row, clock: str) -> float | None:
    times = row.get(clock)
    return times[1] if isinstance(times, list) else None


def _ratio(above: float | None, below: float | None) -> str:
    return "-" if above is None or below is None else _short(above / below)


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
