# SPDX-License-Identifier: Apache-2.0
"""What a folder of images is fit for, found out before anything is trained on it."""

from __future__ import annotations

from dssm.doctor.examine import Examination, examine
from dssm.doctor.finding import Finding, Mark
from dssm.doctor.sheet import contact_sheet

__all__ = ["Examination", "Finding", "Mark", "contact_sheet", "examine"]
