# SPDX-License-Identifier: Apache-2.0
"""Milliseconds per image of whole detectors, beside PaDiM and PatchCore on the same backbone and images.

    python -m dssm.bench.inference --out docs/inference.json --docs .
    python -m dssm.bench.inference --report docs/inference.json --docs .      rewrite the docs, time nothing

All systems take uint8 images of one size and return scores and maps. They take turns, so that other work on the machine
slows all of them; in a turn each is called twice and the second call counts, for a detector does not share its caches
with another one. A ratio is the median over the turns. Weights are random, or ImageNet's where their
package is installed: how long a network takes does not depend on them. Needs the extra `export`: what `dssm export`
makes of the presets is timed in onnxruntime.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from dssm import Detector, files, methods
from dssm.errors import InputError
from dssm.export import Exported, export
from dssm.model import backbones
from dssm.model.weights import load_weights
from dssm.reproduce.machine import machine, versions
from dssm.settings import Settings, preset

from .inputs import surfaces
from .padim_peer import EagerPaDiM
from .report import insert, read_readme

SIDE, GOOD = 256, 32
BATCHES = (1, 16)
THREADS = (1, 2)
PRESETS = {"resnet18": ("paper", "quick"), "efficientnet-lite0": ("best",)}  # by backbone
PAUSE = 0.05  # seconds, in which the threads of onnxruntime, which spin, come to rest
WANTED = 2.0  # times as fast as the fastest rival that ours must be
BEGIN, END = "<!-- inference:begin -->", "<!-- inference:end -->"

Score = Callable[[Tensor], object]
Data = dict[str, Any]


def systems(backbone: str, threads: Sequence[int], folder: Path) -> dict[int, dict[str, tuple[str, Score]]]:
    """By number of threads: name -> (role, what scores a batch). A rival is what the ratios refer to.

    Exported models are written to `folder`; a session of onnxruntime keeps to one number of threads.
    """
    found: dict[str, tuple[str, Score]] = {}
    models = {}
    for name in PRESETS[backbone]:
        detector = _fitted(preset(name), backbone)
        assert detector._scoring is not None
        assert detector.method is not None
        found[f"dssm, preset {name}"] = ("ours", detector._scoring.score)
        found[f"dssm, preset {name}, as trained"] = ("reference", detector.method.score)
        detector.save(folder / name)
        models[f"dssm, preset {name}, onnxruntime"] = folder / f"{name}.onnx"
        export(folder / name, folder / f"{name}.onnx")
    for name in ("padim", "patchcore"):
        detector = _fitted(methods.defaults(name), backbone)
        assert detector._scoring is not None
        found[f"{name} of this package"] = ("peer", detector._scoring.score)
    network = backbones.build(Settings().replace(backbone=backbone), depth=3).eval()
    if weights := _weights(backbone):
        load_weights(network, weights)
    rival = EagerPaDiM(network).fit(surfaces(GOOD, SIDE, SIDE))
    found["PaDiM as anomalib has it"] = ("rival", rival.score)
    found["the same, separable blur"] = ("rival", partial(rival.score, separable=True))

    def sessions(count: int) -> dict[str, tuple[str, Score]]:
        opened = {name: Exported(path, threads=count) for name, path in models.items()}
        return {name: ("exported", partial(_one_by_one, model)) for name, model in opened.items()}

    return {count: found | sessions(count) for count in threads}


def measure(names: Sequence[str], threads: Sequence[int], *, turns: dict[int, int], cpu_time: bool) -> Data:
    """A row per backbone, system, batch and number of threads."""
    clock = time.process_time if cpu_time else time.perf_counter
    rows = []
    for backbone in names:
        with tempfile.TemporaryDirectory() as folder:
            by_threads = systems(backbone, threads, Path(folder))
        for count, contenders in by_threads.items():
            torch.set_num_threads(count)
            for batch in BATCHES:
                label = f"{backbone}, {count} threads, batch {batch}"
                seconds = _take_turns(contenders, surfaces(batch, SIDE, SIDE), turns[batch], clock, label)
                facts = {"backbone": backbone, "batch": batch, "threads": count}
                rows += [{**facts, **row} for row in _rows(contenders, seconds, batch)]
    return {
        "date": date.today().isoformat(),
        "machine": {key: value for key, value in machine(torch.device("cpu")).items() if key != "threads"},
        "versions": versions() | {"onnxruntime": version("onnxruntime")},
        "settings": {"side": SIDE, "cpu_time": cpu_time},
        "results": rows,
    }


def _fitted(settings: Settings, backbone: str) -> Detector:
    """Nothing is trained: speed does not depend on it."""
    changes = {"size": (SIDE, SIDE), "backbone": backbone, "weights": _weights(backbone), "epochs": 0}
    return Detector(settings.replace(**changes), device="cpu").fit(surfaces(GOOD, SIDE, SIDE), progress=False)


def _one_by_one(model: Exported, images: Tensor) -> None:
    """An exported model takes one image."""
    for image in images.permute(0, 2, 3, 1).contiguous().numpy():
        model(image)


def _weights(backbone: str) -> str | None:
    package = backbones.BACKBONES[backbone].package
    return "imagenet" if package and find_spec(package.replace("-", "_")) else None


@torch.no_grad()
def _take_turns(
    contenders: dict[str, tuple[str, Score]], images: Tensor, turns: int, clock: Callable[[], float], label: str
) -> dict[str, list[float]]:
    """Seconds of every second call, by system; the first turn does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in tqdm(range(turns + 1), desc=label):
        for name, (_, score) in contenders.items():
            time.sleep(PAUSE)
            score(images)
            began = clock()
            score(images)
            seconds[name].append(clock() - began)
    return {name: values[1:] for name, values in seconds.items()}


def _rows(contenders: dict[str, tuple[str, Score]], seconds: dict[str, list[float]], batch: int) -> list[Data]:
    """Percentiles in milliseconds per image, and the speed over that of the fastest rival."""
    rivals = [name for name, (role, _) in contenders.items() if role == "rival"]
    rival = min(rivals, key=lambda name: median(seconds[name]))
    rows = []
    for name, (role, _) in contenders.items():
        p50, p95 = 1000 * np.percentile(seconds[name], [50, 95]) / batch
        ratio = median(theirs / own for theirs, own in zip(seconds[rival], seconds[name], strict=True))
        rows.append({"system": name, "role": role, "p50": p50, "p95": p95, "ratio": ratio, "turns": len(seconds[name])})
    return rows


def markdown(data: Data) -> str:
    """docs/inference.md."""
    lines = [
        "# How fast a detector is",
        "",
        "Made by `make bench-inference` from [inference.json](inference.json); do not edit.",
        "",
        _machine_line(data),
        "",
        f"Versions: {', '.join(f'{name} {version}' for name, version in data['versions'].items())}.",
        "",
        "From a batch of uint8 images in memory to scores and maps of their size. All systems of a table take turns of",
        "two calls, of which the second counts; x rival is the median over the turns of the fastest rival's time over",
        "theirs. The rivals are PaDiM as anomalib publishes it: an eager network in PyTorch, a Gaussian at every",
        "position of stage 1, the map blurred by a kernel of 33x33, or by two of 33. PaDiM and PatchCore of this",
        "package run on its kernels too. Threads do not spin while they wait (OMP_WAIT_POLICY=PASSIVE).",
        "`as trained` is the network before its normalisation is folded; `onnxruntime` runs what `dssm export` wrote,",
        "image by image.",
    ]
    for key, rows in _tables(data):
        lines += [
            "",
            f"## {key}",
            "",
            "| system | p50, ms/image | p95, ms/image | x rival |",
            "| --- | ---: | ---: | ---: |",
        ]
        for row in sorted(rows, key=lambda row: row["p50"]):
            lines.append(f"| {row['system']} | {row['p50']:.1f} | {row['p95']:.1f} | {row['ratio']:.2f} |")
    return "\n".join(lines) + "\n"


def readme_section(data: Data) -> str:
    """The lines of the presets that stand between the README's markers."""
    lines = [_machine_line(data), "Against the faster of two PaDiMs on the same backbone; every system:"]
    lines += ["[docs/inference.md](docs/inference.md).", ""]
    lines += ["| system | threads | batch | p50, ms/image | p95, ms/image | x PaDiM | must reach |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for row in data["results"]:
        if row["role"] == "ours":
            verdict = f"{WANTED:g} {'yes' if row['ratio'] >= WANTED else 'NO'}"
            figures = f"{row['p50']:.1f} | {row['p95']:.1f} | {row['ratio']:.2f} | {verdict}"
            lines.append(f"| {row['system']}, {row['backbone']} | {row['threads']} | {row['batch']} | {figures} |")
    return "\n".join(lines)


def write_docs(root: Path, data: Data) -> None:
    """docs/inference.md and the README's section below `root`."""
    new = insert(read_readme(root), readme_section(data), BEGIN, END)
    files.write_text(root / "docs" / "inference.md", markdown(data))
    files.write_text(root / "README.md", new)


def _machine_line(data: Data) -> str:
    statistic = "processor time" if data["settings"]["cpu_time"] else "wall time"
    side, host = data["settings"]["side"], data["machine"]
    where = f"{host['cpu']}, {host['cores']} cores, torch {data['versions']['torch']}"
    return f"{where}, {data['date']}, images of {side}x{side}, {statistic}."


def _tables(data: Data) -> list[tuple[str, list[Data]]]:
    tables: dict[str, list[Data]] = {}
    for row in data["results"]:
        threads = f"{row['threads']} thread{'s' * (row['threads'] > 1)}"
        tables.setdefault(f"{row['backbone']}, batch {row['batch']}, {threads}", []).append(row)
    return list(tables.items())


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dssm.bench.inference", description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", action="append", choices=list(backbones.BACKBONES), help="repeatable; both")
    parser.add_argument("--threads", action="append", type=int, help="repeatable; 1 and 2")
    parser.add_argument("--quick", action="store_true", help="a few turns: noisy")
    parser.add_argument("--cpu-time", action="store_true", help="time of the processor, for a busy machine")
    parser.add_argument("--out", type=Path, help="JSON file of results to write")
    parser.add_argument("--report", type=Path, help="time nothing; show the results in this JSON file")
    parser.add_argument("--docs", type=Path, help="root of a checkout whose README and docs to rewrite")
    options = parser.parse_args(arguments)
    try:
        if options.report:
            data = files.read_json(options.report)
        else:
            turns = {1: 5, 16: 2} if options.quick else {1: 25, 16: 6}
            names = options.backbone or list(backbones.BACKBONES)
            data = measure(names, options.threads or THREADS, turns=turns, cpu_time=options.cpu_time)
        if options.out:
            files.write_json(options.out, data)
        print(markdown(data))
        if options.docs:
            write_docs(options.docs, data)
    except InputError as error:
        sys.exit(f"dssm: {error}")


if __name__ == "__main__":
    main()
