# SPDX-License-Identifier: Apache-2.0
"""What `runner.measure` found, as a table, as Markdown and as the README's section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from dssm import files
from dssm.errors import InputError

from .targets import MAKING_SHARE, target

BEGIN, END = "<!-- performance:begin -->", "<!-- performance:end -->"
HEADER = ("op and case", "system", "time", "IQR", "images/s", "x rival", "of floor")
SUMMARY = ("op and case", "rival", "ours, images/s", "x rival", "must reach", "of floor")
PARTS = ("forward", "backward", "optimiser", "paste", "targets", "rest")

Data = dict[str, Any]
Row = dict[str, Any]


def text(data: Data) -> str:
    """Every row, a table per number of threads; then the parts of the step, the targets, and what was skipped."""
    lines = [_machine_line(data)]
    for threads, rows in _by_threads(data):
        lines += ["", _threads(threads), *_aligned([HEADER, *_full_rows(rows)])]
    summary = summary_rows(data)
    if summary:
        lines += ["", "against the fastest rival, one thread", *_aligned([SUMMARY, *summary])]
    lines += ["", *_parts_lines(data), *_skipped_lines(data)]
    return "\n".join(lines).rstrip()


def markdown(data: Data) -> str:
    """docs/performance.md."""
    lines = [
        "# Performance",
        "",
        "Made by `make bench` from [performance.json](performance.json); do not edit.",
        "",
        _machine_line(data),
        "",
        f"Versions: {', '.join(f'{name} {version}' for name, version in data['versions'].items())}.",
        "",
        "All systems of a case work on the same inputs, in one process, on as many cores as threads. A rival is the",
        "peer that a ratio refers to. The floor is the time of a memcpy of the bytes that must move, or of a PyTorch",
        "matrix product of the multiply-adds that must be done, whichever is longer; above 100 % a kernel beats it.",
        "",
        "![images per second over the rival's](performance.png)",
    ]
    for threads, rows in _by_threads(data):
        lines += ["", f"## {_threads(threads)}", "", *_table(HEADER, _full_rows(rows))]
    if steps := _parts_lines(data):
        lines += ["", "## Where a training step goes", "", *(f"- {line}" for line in steps)]
    if skipped := _skipped_lines(data):
        lines += ["", "## Not run", "", *(f"- {line}" for line in skipped)]
    return "\n".join(lines) + "\n"


def readme_section(data: Data) -> str:
    """What stands between the README's markers: the targets, and how a step divides."""
    lines = [
        _machine_line(data),
        "`make bench` makes this table; every system, losses included: [docs/performance.md](docs/performance.md).",
        "",
        *_table(SUMMARY, summary_rows(data)),
    ]
    if steps := _parts_lines(data):
        lines += ["", *(f"- {line}" for line in steps)]
    return "\n".join(lines)


def insert(readme: str, section: str, first: str = BEGIN, last: str = END) -> str:
    """The README with the section between its markers. Raises InputError where they are missing."""
    before, begin, rest = readme.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise InputError(f"the README must hold the lines {first} and {last}, between which the table goes")
    return f"{before}{first}\n{section}\n{last}{after}"


def read_readme(root: Path) -> str:
    """The README of a checkout. Raises InputError where there is none."""
    readme = root / "README.md"
    try:
        return readme.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {readme}: {error.strerror}; --docs must name a checkout of dssm") from error


def write_docs(root: Path, data: Data) -> None:
    """docs/performance.md, docs/performance.png and the README's section below `root`."""
    from .plot import draw

    new = insert(read_readme(root), readme_section(data))
    files.write_text(root / "docs" / "performance.md", markdown(data))
    with files.atomic(root / "docs" / "performance.png") as temporary:
        draw(data, temporary)
    files.write_text(root / "README.md", new)


def summary_rows(data: Data) -> list[tuple[str, ...]]:
    """One line per case that has a rival: the fastest of ours, one thread."""
    lines: list[tuple[str, ...]] = []
    for rows in cases(data, threads=1):
        best = fastest(rows, "ours")
        rival = fastest(rows, "rival")
        if best is None or rival is None:
            continue
        wanted = target(best["op"], best["case"], data["machine"]["level"])
        verdict = "-" if wanted is None else f"{_ratio(wanted)} {'yes' if best['ratio'] >= wanted else 'NO'}"
        name = f"{best['op']} {best['case']}"
        lines.append((name, rival["system"], _rate(best), _ratio(best["ratio"]), verdict, _percent(best["of_floor"])))
    return lines


def cases(data: Data, threads: int) -> Iterator[list[Row]]:
    """The rows of each case, at one number of threads."""
    rows = [row for row in data["results"] if row["threads"] == threads]
    names = dict.fromkeys((row["op"], row["case"]) for row in rows)
    for op, case in names:
        yield [row for row in rows if (row["op"], row["case"]) == (op, case)]


def fastest(rows: Sequence[Row], role: str) -> Row | None:
    """The fastest row of a role."""
    return max((row for row in rows if row["role"] == role), key=lambda row: row["images_per_second"], default=None)


def _by_threads(data: Data) -> Iterator[tuple[int, list[Row]]]:
    for threads, _ in groupby(data["results"], key=lambda row: row["threads"]):
        yield threads, [row for rows in cases(data, threads) for row in rows]


def _full_rows(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    return [
        (
            f"{row['op']} {row['case']}",
            row["system"],
            _time(row["seconds"]),
            _time(row["iqr"]),
            _rate(row),
            _ratio(row["ratio"]),
            _percent(row["of_floor"]),
        )
        for row in sorted(rows, key=lambda row: (row["op"], row["case"], row["seconds"]))
    ]


def _machine_line(data: Data) -> str:
    machine, settings = data["machine"], data["settings"]
    hardware = f"{machine['cpu']} (kernels: {machine['level']}), {machine['cores']} cores"
    statistic = "lower quartiles of CPU time" if settings["cpu_time"] else "medians of wall time"
    quick = ", a quick run" if settings["quick"] else ""
    return f"{hardware}, torch {data['versions']['torch']}, {data['date']}, {statistic}{quick}."


def _parts_lines(data: Data) -> list[str]:
    lines = []
    for row in data["results"]:
        if "parts" not in row:
            continue
        shares = ", ".join(f"{part} {100 * row['parts'][part]:.1f} %" for part in PARTS)
        making = row["parts"]["paste"] + row["parts"]["targets"]
        verdict = f"paste + targets {100 * making:.1f} %, at most {100 * MAKING_SHARE:.0f} % wanted"
        step = f"step, {row['case']}, {_threads(row['threads'])}, {_time(row['seconds'])}"
        lines.append(f"{step}: {shares} ({verdict})")
    return lines


def _skipped_lines(data: Data) -> list[str]:
    """One line per reason, with the number of benches that it stopped."""
    reasons = Counter((skip["threads"], skip["op"], skip["reason"]) for skip in data["skipped"])
    return [
        f"{op}, {_threads(threads)}, {count} bench{'es' * (count > 1)} not run: {reason}"
        for (threads, op, reason), count in reasons.items()
    ]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    rule = ["---", "---", *["---:"] * (len(header) - 2)]
    return [f"| {' | '.join(cells)} |" for cells in (header, rule, *rows)]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    layout = "  ".join(f"{{:{'<' if i < 2 else '>'}{width}}}" for i, width in enumerate(widths))
    return [layout.format(*row) for row in rows]


def _threads(count: int) -> str:
    return f"{count} thread{'s' * (count > 1)}"


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def _rate(row: Row) -> str:
    return _short(row["images_per_second"])


def _ratio(value: float | None) -> str:
    return "-" if value is None else _short(value)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{_short(100 * value)} %"


def _short(value: float) -> str:
    """Three significant digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
