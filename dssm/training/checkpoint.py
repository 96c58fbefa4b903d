# SPDX-License-Identifier: Apache-2.0
"""Training state on disk: one file that holds weights, the optimiser's averages and how far the training has come."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dssm import tensors
from dssm.errors import InputError

_AVERAGES = ("momentum_buffer", "exp_avg", "exp_avg_sq", "step")  # what SGD and Adam keep per parameter


@dataclass
class Progress:
    """How far a training has come."""

    step: int  # steps done
    history: list[dict[str, Any]]  # a row of the log per finished epoch
    sums: dict[str, float]  # of the epoch in hand: losses and counts so far


def save(
    path: Path,
    network: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    run: dict[str, Any],
) -> None:
    """Write everything into one file, so that all of it is of one moment. `run` says what is trained on what."""
    values = {f"network.{name}": value for name, value in network.state_dict().items()}
    for name, parameter in network.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                values[f"optimizer.{key}.{name}"] = value
    tensors.write(path, values, {"progress": json.dumps(vars(progress)), "run": json.dumps(run)})


def load(path: Path, network: torch.nn.Module, optimizer: torch.optim.Optimizer, run: dict[str, Any]) -> Progress:
    """Restore what `save` wrote. Raises InputError for another file, other settings or another number of images."""
    values, texts = tensors.read(path)
    try:
        progress, saved = Progress(**json.loads(texts["progress"])), json.loads(texts["run"])
        weights = {k.removeprefix("network."): v for k, v in values.items() if k.startswith("network.")}
        if saved == run:
            network.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} is not a checkpoint of this network: {str(error).splitlines()[0]}") from error
    if saved != run:
        changed = ", ".join(sorted(key for key in saved.keys() | run.keys() if saved.get(key) != run.get(key)))
        raise InputError(f"{path} is of another training, which differs in: {changed}; start anew instead")
    for name, parameter in network.named_parameters():
        for key in _AVERAGES:
            value = values.get(f"optimizer.{key}.{name}")
            if value is not None:
                # An average keeps the parameter's memory format; the step is a scalar.
                like = torch.empty_like(parameter) if value.shape == parameter.shape else torch.empty_like(value)
                optimizer.state[parameter][key] = like.copy_(value)
    return progress
