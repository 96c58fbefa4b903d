# SPDX-License-Identifier: Apache-2.0
"""The training loop: plain PyTorch, resumable at any step, the same weights every time."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from dssm.errors import InputError
from dssm.files import CHECKPOINT, LOG, atomic
from dssm.settings import Settings
from dssm.stop import stop_signal
from dssm.training import checkpoint
from dssm.training.checkpoint import Progress

if TYPE_CHECKING:
    from dssm.methods import Method


class Interrupted(Exception):  # noqa: N818, like KeyboardInterrupt
    """Ctrl-C (or SIGTERM) came; what was done so far is saved if there is a run folder."""


def train(
    method: Method,
    images: Tensor,
    textures: Tensor,
    *,
    folder: Path | None = None,
    resume: bool = False,
    progress: bool = True,
    on_epoch: Callable[[dict[str, Any]], None] | None = None,
) -> list[dict[str, Any]]:
    """Train a method's network in place on good images (N, 3, H, W) uint8; returns one row per epoch: losses, rate,
    images/s.

    Images and textures live on the network's device. `folder` receives log.csv and checkpoint.safetensors; with
    `resume` the training goes on from the checkpoint and ends with the weights of an unbroken run on the same machine.
    `on_epoch` gets every row as it is finished.
    Raises Interrupted on Ctrl-C after saving, InputError when the loss is no longer finite.
    """
    network, settings = method.network, method.settings
    trainer = _Trainer(method, images, textures)
    state = Progress(step=0, history=[], sums={})
    if resume and folder is not None and (folder / CHECKPOINT).exists():
        state = checkpoint.load(folder / CHECKPOINT, network, trainer.optimizer, trainer.run)
    saved = time.monotonic()
    network.train()
    with (
        stop_signal() as stop,
        torch.random.fork_rng(devices=[images.device] if images.is_cuda else []),
        tqdm(total=trainer.steps, initial=state.step, desc="train", unit="step", disable=not progress) as bar,
    ):
        while state.step < trainer.steps:
            began = time.perf_counter()
            row = trainer.step(state.step)
            row |= {"images": method.views * trainer.good, "seconds": time.perf_counter() - began}
            state.step += 1
            state.sums = {key: state.sums.get(key, 0.0) + value for key, value in row.items()}
            bar.update()
            bar.set_postfix_str(f"loss {row['loss']:.3f}, {row['images'] / row['seconds']:.0f} images/s", refresh=False)

            epoch_ends = state.step % trainer.steps_per_epoch == 0
            if epoch_ends:
                state.history.append(trainer.summary(state))
                state.sums = {}
                if folder is not None:
                    _write_log(folder / LOG, state.history)
                if on_epoch is not None:
                    on_epoch(state.history[-1])
            due = time.monotonic() - saved >= settings.checkpoint
            if folder is not None and (due or stop.is_set()):
                checkpoint.save(folder / CHECKPOINT, network, trainer.optimizer, state, trainer.run)
                saved = time.monotonic()
            if stop.is_set():
                raise Interrupted(f"stopped after step {state.step} of {trainer.steps}")
    network.eval()
    return state.history


class _Trainer:
    """One step of training; all that it does is decided by the settings and the number of the step."""

    def __init__(self, method: Method, images: Tensor, textures: Tensor) -> None:
        self.method, self.images, self.textures = method, images, textures
        self.settings = settings = method.settings
        self.good = min(max(settings.batch // method.views, 1), len(images))
        self.steps_per_epoch = len(images) // self.good
        epochs = settings.epochs
        if epochs is None:
            # Of more images than `samples` the one epoch shows that many, drawn at random.
            self.steps_per_epoch = min(self.steps_per_epoch, math.ceil(settings.samples / self.good))
            epochs = math.ceil(settings.samples / len(images))
        self.steps = epochs * self.steps_per_epoch
        self.optimizer = _optimizer(method.network, settings)
        self.run = {**settings.as_dict(), "images": len(images), "textures": len(textures)}

    def step(self, step: int) -> dict[str, float]:
        """One update of the weights; returns the weighted losses."""
        settings = self.settings
        # What torch's own generator decides (dropout, rectangles) is fixed by the step, so nothing of it needs saving.
        torch.manual_seed(_mix(settings.seed, step))
        epoch, position = divmod(step, self.steps_per_epoch)
        chosen = _order(len(self.images), settings.seed, epoch)[position * self.good : (position + 1) * self.good]
        chosen = chosen.to(self.images.device)
        terms = self.method.losses(self.images[chosen], self.textures, epoch * len(self.images) + chosen)
        loss = torch.stack(list(terms.values())).sum()
        for group in self.optimizer.param_groups:
            group["lr"] = _rate(step, self.steps, settings)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        values = torch.stack([loss, *terms.values()]).tolist()  # the only wait for the device
        if not math.isfinite(values[0]):
            raise InputError(
                f"the loss is {values[0]} at step {step + 1}; lower the setting rate, now {settings.rate:g}"
            )
        return dict(zip(("loss", *terms), values, strict=True))

    def summary(self, state: Progress) -> dict[str, Any]:
        """The log's row of the epoch that ends with `state`."""
        sums = state.sums
        means = {
            name: round(sums[name] / self.steps_per_epoch, 6) for name in sums if name not in ("images", "seconds")
        }
        return {
            "epoch": state.step // self.steps_per_epoch,
            "step": state.step,
            "rate": round(_rate(state.step - 1, self.steps, self.settings), 8),
            **means,
            "seconds": round(sums["seconds"], 3),
            "images_per_second": round(sums["images"] / sums["seconds"], 1),
        }


def _optimizer(network: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    weights = [parameter for parameter in network.parameters() if parameter.requires_grad]
    rate, decay = settings.rate, settings.decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(weights, lr=rate, momentum=settings.momentum, weight_decay=decay)
    # Fused: one pass over weights and averages instead of many.
    adam = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return adam(weights, lr=rate, weight_decay=decay, fused=True)


def _order(count: int, seed: int, epoch: int) -> Tensor:
    """The order of the images in an epoch."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(_mix(seed, epoch)))


def _mix(seed: int, count: int) -> int:
    """A seed for torch's generators, which take 64 bits."""
    return (seed * 1_000_003 + count) % 2**63


def _rate(step: int, steps: int, settings: Settings) -> float:
    """A linear rise, then half a cosine down to zero, or a tenth after every milestone that has passed."""
    rising = settings.warmup * steps
    if step < rising:
        return settings.rate * (step + 1) / rising
    if settings.schedule == "steps":
        return settings.rate * 0.1 ** sum(step >= share * steps for share in settings.milestones)
    return settings.rate * 0.5 * (1 + math.cos(math.pi * (step - rising) / max(steps - rising, 1)))


def _write_log(path: Path, history: list[dict[str, Any]]) -> None:
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(history[0]))
        writer.writeheader()
        writer.writerows(history)
