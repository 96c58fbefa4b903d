# SPDX-License-Identifier: Apache-2.0
"""The report: predictions as one HTML page that needs neither server nor network."""

from __future__ import annotations

from dssm.report.page import PICTURES, Page, report, report_evaluation

__all__ = ["PICTURES", "Page", "report", "report_evaluation"]
