# SPDX-License-Identifier: Apache-2.0
"""The table says what was measured, and the README and docs say what the committed JSON says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dssm.cli.bench import module
from dssm.errors import InputError

ROOT = Path(__file__).parents[2]


def row(system: str, role: str, seconds: float, **facts: Any) -> dict[str, Any]:
    times = {"seconds": seconds, "iqr": seconds / 10, "images_per_second": 32 / seconds}
    return (
        {"op": "component", "case": "256x256", "threads": 1, "images": 32, "system": system, "role": role}
        | times
        | facts
    )


@pytest.fixture
def data() -> dict[str, Any]:
    rows = [row("dssm", "ours", 0.001), row("cv2 with stats", "rival", 0.01), row("memcpy", "floor", 0.0005)]
    rows.append(row("slow floor", "floor", 0.0008))
    return {
        "date": "2026-01-01",
        "machine": {"cpu": "a processor", "features": ["avx2"], "level": "avx2", "cores": 2, "system": "Linux"},
        "versions": {"python": "3.11", "torch": "2.13"},
        "settings": {"quick": False, "cpu_time": False},
        "results": module("runner")._with_ratios(rows),
        "skipped": [{"threads": 1, "op": "component", "system": "bench_cc3d", "reason": "could not import 'cc3d'"}],
    }


def test_ratios_are_of_the_rival_and_the_binding_floor(data: dict[str, Any]) -> None:
    ours = data["results"][0]
    assert ours["ratio"] == pytest.approx(10)
    assert ours["of_floor"] == pytest.approx(0.8)


def test_the_table_shows_rows_verdicts_and_what_was_skipped(report: ModuleType, data: dict[str, Any]) -> None:
    text = report.text(data)
    assert re.search(r"cv2 with stats +10 ms +1 ms +3,200 +1 +8 %", text)
    assert "7.5 yes" in text  # half of 15: these are AVX2 kernels
    assert "could not import 'cc3d'" in text
    data["machine"]["level"] = "avx512"
    assert "15 NO" in report.text(data)


def test_a_step_shows_its_parts(report: ModuleType, data: dict[str, Any]) -> None:
    shares = {"forward": 0.3, "backward": 0.6, "optimiser": 0.05, "paste": 0.01, "targets": 0.02, "rest": 0.02}
    data["results"].append(
        row("dssm", "ours", 1.5, op="step", case="paper 256x256", parts=shares, ratio=None, of_floor=None)
    )
    assert "paste + targets 3.0 %, at most 1 % wanted" in report.text(data)


def test_the_readme_keeps_what_is_outside_the_markers(report: ModuleType) -> None:
    text = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.insert(text, "new") == f"before\n{report.BEGIN}\nnew\n{report.END}\nafter\n"
    with pytest.raises(InputError, match="performance:begin"):
        report.insert("no markers", "new")


def test_readme_and_docs_are_what_the_committed_results_make(report: ModuleType) -> None:
    data = json.loads((ROOT / "docs/performance.json").read_text())
    readme = (ROOT / "README.md").read_text()
    assert readme == report.insert(readme, report.readme_section(data)), "run: make bench-docs"
    assert (ROOT / "docs/performance.md").read_text() == report.markdown(data), "run: make bench-docs"


def test_docs_are_written(report: ModuleType, data: dict[str, Any], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "README.md").write_text(f"# x\n{report.BEGIN}\n{report.END}\n")
    report.write_docs(tmp_path, data)
    assert (
        "| component 256x256 | cv2 with stats | 32,000 | 10 | 7.5 yes | 80 % |" in (tmp_path / "README.md").read_text()
    )
    assert (tmp_path / "docs/performance.png").read_bytes().startswith(b"\x89PNG")
    assert "slow floor" in (tmp_path / "docs/performance.md").read_text()


def test_an_op_timed_again_replaces_its_rows_alone() -> None:
    update = module("runner").update
    rows = [{"op": op, "threads": threads, "median": 1.0} for op in ("hog", "paste") for threads in (1, 2)]
    old = {"machine": 1, "versions": 2, "settings": 3, "results": rows, "skipped": []}
    new = {**old, "results": [{"op": "hog", "threads": 1, "median": 2.0}]}
    medians = {(row["op"], row["threads"]): row["median"] for row in update(old, new)["results"]}
    assert medians == {("hog", 1): 2.0, ("hog", 2): 1.0, ("paste", 1): 1.0, ("paste", 2): 1.0}
    assert update({**old, "versions": 9}, new) == new
