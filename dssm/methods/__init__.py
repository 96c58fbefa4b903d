# SPDX-License-Identifier: Apache-2.0
"""The systems that can be trained and compared, a file each."""

from __future__ import annotations

from dssm.errors import InputError
from dssm.methods.cdo import CDO
from dssm.methods.cutpaste import CutPaste
from dssm.methods.draem import DRAEM
from dssm.methods.dssm import DSSM
from dssm.methods.method import Method
from dssm.methods.padim import PaDiM
from dssm.methods.patch_svdd import PatchSVDD
from dssm.methods.patchcore import PatchCore
from dssm.methods.students import Students
from dssm.settings import Settings

METHODS: dict[str, type[Method]] = {
    "dssm": DSSM,
    "cutpaste": CutPaste,
    "draem": DRAEM,
    "cdo": CDO,
    "padim": PaDiM,
    "patchcore": PatchCore,
    "patch_svdd": PatchSVDD,
    "students": Students,
}


def build(settings: Settings) -> Method:
    """The method that the settings name, untrained."""
    return METHODS[settings.method](settings)


def defaults(name: str) -> Settings:
    """The settings that a method's own paper gives it."""
    if name not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, not {name!r}")
    return Settings().replace(method=name, **METHODS[name].defaults)


__all__ = ["METHODS", "Method", "build", "defaults"]
