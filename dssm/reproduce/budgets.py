# SPDX-License-Identifier: Apache-2.0
"""How much computing a row may take: a few settings, the same for every system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dssm.settings import Settings

# The paper's SGD needs hundreds of epochs; `dssm train --preset quick` takes this too.
_FEW_STEPS = {"optimizer": "adamw", "rate": 0.001, "decay": 0.01, "warmup": 0.1}


@dataclass(frozen=True)
class Budget:
    """Changes to the settings that the paper of each system gives it."""

    name: str
    about: str
    minutes: float  # what a training takes on two cores, roughly: the estimate before anything was measured
    images: Mapping[str, Any] = field(default_factory=dict)  # to every system
    schedule: Mapping[str, Any] = field(default_factory=dict)  # to those that are trained
    instead_of_sgd: Mapping[str, Any] = field(default_factory=dict)  # to those whose papers train by SGD
    by_method: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # to some more
    batch: int | None = None  # images per step, at most, so that few images still make many steps

    def changes(self, own: Settings, *, trains: bool) -> dict[str, Any]:
        """What it changes in a system's own settings."""
        if not trains:
            return dict(self.images)
        changes = {**self.images, **self.schedule, **self.by_method.get(own.method, {})}
        if own.optimizer == "sgd":
            changes |= self.instead_of_sgd
        if self.batch is not None:
            changes["batch"] = min(own.batch, self.batch)
        return changes


def _short(name: str, minutes: float, side: int, samples: int) -> Budget:
    """A budget of so many good images, shown at this size."""
    about = (
        f"images of {side}x{side}, {samples} good ones shown in all, at most 32 images per step; AdamW for every "
        "system whose paper says SGD; DRAEM an eighth as wide as in its paper; Patch-SVDD, which sees small parts of "
        "an image, shown each eight times"
    )
    by_method: dict[str, dict[str, Any]] = {"draem": {"width": 0.125}, "patch_svdd": {"samples": 8 * samples}}
    schedule = {"epochs": None, "samples": samples}
    return Budget(name, about, minutes, {"size": (side, side)}, schedule, _FEW_STEPS, by_method, batch=32)


BUDGETS = {
    budget.name: budget
    for budget in (
        _short("quick", minutes=3, side=128, samples=1200),
        _short("standard", minutes=40, side=256, samples=8000),
        Budget("paper", "every system as its own paper trains it", 40 * 60),
    )
}
