# SPDX-License-Identifier: Apache-2.0
"""The systems that the tables compare: a method, and what a row changes in its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dssm.reproduce.budgets import Budget
from dssm.settings import Settings, preset


@dataclass(frozen=True)
class System:
    """What a row of a table trains. A preset is taken as it ships, whatever the budget."""

    name: str
    title: str
    method: str = "dssm"
    changes: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = None

    def settings(self, budget: Budget, seed: int) -> Settings:
        """All settings of a run; a later word counts: the method's paper, the budget, the row.

        Raises InputError where this version has no such method or setting.
        """
        if self.preset is not None:
            return preset(self.preset).replace(seed=seed)
        from dssm import methods  # torch takes seconds to import; --help need not wait for it

        own = methods.defaults(self.method)
        changes = {**budget.changes(own, trains=self.trains), **self.changes}
        return own.replace(**{**changes, "seed": seed})

    @property
    def trains(self) -> bool:
        """Whether gradients teach it anything."""
        from dssm.methods import METHODS

        return METHODS[self.method].trains and self.changes.get("epochs") != 0


UNTRAINED = System("untrained", "untrained ResNet-18", changes={"epochs": 0})
OURS = System("ours", "the paper's method")
QUICK = System("quick", "preset `quick`", preset="quick")
BEST = System("best", "preset `best`", preset="best")

CUTPASTE = System("cutpaste", "CutPaste, 3-way", "cutpaste", {"ways": 3})
CUTPASTE_2 = System("cutpaste-2", "CutPaste, 2-way", "cutpaste", {"ways": 2})
SSPCAB = System("sspcab", "SSPCAB on CutPaste", "cutpaste", {"ways": 3, "sspcab": True})
DRAEM = System("draem", "DRAEM", "draem")
DRAEM_SSPCAB = System("draem-sspcab", "SSPCAB on DRAEM", "draem", {"sspcab": True})
CDO = System("cdo", "CDO, ImageNet teacher", "cdo")
PADIM = System("padim", "PaDiM, ImageNet features", "padim")
PATCHCORE = System("patchcore", "PatchCore, ImageNet features", "patchcore")
PATCH_SVDD = System("patch-svdd", "Patch-SVDD", "patch_svdd")
STUDENTS = System("students", "Uninformed Students, ImageNet teacher", "students")
