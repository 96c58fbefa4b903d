# SPDX-License-Identifier: Apache-2.0
"""What of a table is finished, what is to do and what cannot be done here; and doing it, job after job."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dssm.errors import BackendError, InputError
from dssm.reproduce.budgets import Budget
from dssm.reproduce.datasets import DataSet
from dssm.reproduce.job import Job, Place, drop_model, evaluate, train
from dssm.reproduce.results import Results
from dssm.reproduce.tables import MEASURES, Row, Table

_UNTRAINED_MINUTES = 2  # to fit and to evaluate, before anything was measured


@dataclass
class Plan:
    """The jobs of a table."""

    finished: list[Job] = field(default_factory=list)
    to_do: list[Job] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)  # why others cannot run here, a line per system or data set

    def leave_out(self, reason: str) -> None:
        if reason not in self.left_out:
            self.left_out.append(reason)


def plan(
    rows: Sequence[Row], data: Sequence[DataSet], budget: Budget, seeds: Sequence[int], place: Place, results: Results
) -> Plan:
    """The jobs of these rows on these data sets, all rows with the first seed before any with the second."""
    found = Plan()
    for job in (Job(row.system, budget, where, seed) for seed in seeds for where in data for row in rows):
        try:
            if results.find(job.settings, job.data.name):
                found.finished.append(job)
                continue
        except InputError as error:
            found.leave_out(f"{job.system.title}: {error}")
            continue
        try:
            job.data.locate(place.data)
            found.to_do.append(job)
        except InputError as error:
            found.leave_out(str(error))
    return found


def run(
    table: Table, jobs: Sequence[Job], results: Results, place: Place, *, keep: int, say: Callable[[str], None]
) -> list[str]:
    """Do the jobs and keep their results; returns a line per job that failed. Models of the seed `keep` stay.

    Raises `dssm.training.Interrupted` on Ctrl-C; the same call goes on from there.
    """
    failed = []
    for number, job in enumerate(jobs, start=1):
        say(f"[{number}/{len(jobs)}] {job}: {duration(estimate(job, results))}, {job.folder(place.runs)}")
        try:
            result = evaluate(job, train(job, place), place)
        except (InputError, BackendError) as error:
            failed.append(f"{job}: {error}")
            say(failed[-1])
            continue
        results.add(table, result)
        if job.seed != keep:
            drop_model(job, place.runs)
        values = {MEASURES[name]: result.metrics.get(name) for name in table.measures}
        say(", ".join(f"{title} {100 * value:.1f}" for title, value in values.items() if value is not None))
    return failed


def estimate(job: Job, results: Results) -> float:
    """Seconds that a job takes: what its row took elsewhere, else what the budget is made for."""
    measured = results.seconds(job.system.name, job.budget.name)
    if measured is not None:
        return measured
    return 60 * (job.budget.minutes if job.system.trains else _UNTRAINED_MINUTES)


def duration(seconds: float) -> str:
    """For people: about 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 90 * 60 else f"about {seconds / 3600:.1f} h"
