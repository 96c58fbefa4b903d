# SPDX-License-Identifier: Apache-2.0
"""How much computing a row may take: a few settings, the same for every system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The paper's SGD needs hundreds of epochs; `dssm train --preset quick` takes this too.
_FEW_STEPS = {"optimizer": "adamw", "rate": 0.001, "decay": 0.01, "warmup": 0.1}


@dataclass(frozen=True)
class Budget:
    """Changes to the settings that the paper of each system gives it."""

    name: str
    about: str
    minutes: float  # what a training takes on two cores, roughly: the estimate before anything was measured
    changes: Mapping[str, Any] = field(default_factory=dict)  # to every system
    instead_of_sgd: Mapping[str, Any] = field(default_factory=dict)  # to the systems whose papers train by SGD


BUDGETS = {
    budget.name: budget
    for budget in (
        Budget(
            "quick",
            "images of 128x128, 1200 good images shown in all; AdamW for every system whose paper says SGD",
            3,
            {"size": (128, 128), "epochs": None, "samples": 1200},
            _FEW_STEPS,
        ),
        Budget(
            "standard",
            "images of 256x256, 8000 good images shown in all; AdamW for every system whose paper says SGD",
            40,
            {"size": (256, 256), "epochs": None, "samples": 8000},
            _FEW_STEPS,
        ),
        Budget("paper", "every system as its own paper trains it", 40 * 60),
    )
}
