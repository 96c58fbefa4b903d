# SPDX-License-Identifier: Apache-2.0
"""`dssm evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dssm import files
from dssm.card import model_card
from dssm.cli import options
from dssm.cli.scores import SCORE_COLUMNS, score_cells
from dssm.errors import InputError
from dssm.files import CARD, FACTS

if TYPE_CHECKING:
    from dssm.detector import Evaluation

COLUMNS = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "f1_max": "F1 max",
    "pixel_auroc": "pixel AUROC",
    "pixel_aupro": "pixel AUPRO",
    "pixel_ap": "pixel AP",
}


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("data", required=False)
@click.option("--protocol", type=click.Choice(["paper", "strict"]), help="How BSData is split.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the results.  [default: RUN/evaluation]")
@click.option("--rows", type=click.IntRange(min=1), default=12, show_default=True, help="Images on the heat-map sheet.")
@options.pictures
@click.option("--device", help="cpu or cuda.  [default: cuda if there is one]")
def evaluate(
    run: Path,
    data: str | None,
    protocol: str | None,
    out: Path | None,
    rows: int,
    pictures: int,
    device: str | None,
) -> None:
    """Measure the model in RUN on test images whose defects are known.

    DATA is by default what the model was trained on; of a data set with a split, the test part counts. Prints a table
    and writes metrics.json, scores.csv, heatmaps.png, and report.html: one page to look at every image, with
    thresholds to slide. Without --out, the model card in RUN gets the figures too.
    """
    from dssm import picture
    from dssm.detector import Detector
    from dssm.heatmaps import heatmap_sheet
    from dssm.report import report_evaluation

    detector = Detector.load(run, device=device)
    data = data or detector.data.get("path")
    if data is None:
        raise InputError(f"{run} does not say what it was trained on; give DATA")
    evaluation = detector.evaluate(data, protocol=protocol)
    shown = table(evaluation.metrics, [sample.kind for sample in evaluation.samples])
    into_card = out is None
    out = out or run / "evaluation"
    sheet = heatmap_sheet(detector, evaluation, rows=rows)
    title = f"{run.resolve().name} on {Path(data).name}"
    with files.renewed_folder(out) as folder:  # figures and pictures of one evaluation, or of the one before
        files.write_json(folder / "metrics.json", evaluation.metrics)
        write_scores(folder / "scores.csv", evaluation)
        picture.save(sheet, folder / "heatmaps.png")
        report_evaluation(folder / "report.html", detector, evaluation, title=title, columns=COLUMNS, pictures=pictures)
    if into_card:
        measured = f"On the test images of {Path(data).resolve().name}, in percent:\n\n```\n{shown}\n```"
        files.write_text(run / CARD, model_card(files.read_json(run / FACTS), measured))
    click.echo(shown)
    click.echo(verdicts(evaluation.metrics))
    click.echo(f"written: {out}/metrics.json, scores.csv, heatmaps.png, report.html")


def table(metrics: dict[str, Any], kinds: list[str]) -> str:
    """The metrics as text, percent, a row per kind of defect when there is more than one."""
    columns = [key for key in COLUMNS if key in metrics]
    rows = [["", "images", *(COLUMNS[key] for key in columns)]]
    per_kind = metrics["per_kind"] if len(metrics["per_kind"]) > 1 else {}
    for name, values in [("all", metrics), *per_kind.items()]:
        count = len(kinds) if name == "all" else kinds.count(name)
        cells = ["-" if values[key] is None else f"{100 * values[key]:.2f}" for key in columns]
        rows.append([name, str(count), *cells])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )


def verdicts(metrics: dict[str, Any]) -> str:
    """What the model's own threshold decides, in a sentence."""
    shares = {"of the good images rejected": metrics["good_rejected"], "of the defects found": metrics["defects_found"]}
    told = [f"{100 * share:.1f} % {what}" for what, share in shares.items() if share is not None]
    return f"at the threshold {metrics['image_threshold']:.6g}: {', '.join(told)}"


def write_scores(path: Path, evaluation: Evaluation) -> None:
    """One line per test image."""
    import csv

    with files.atomic(path) as temporary, files.open_csv(temporary) as file:
        writer = csv.writer(file)
        writer.writerow(["file", "kind", *SCORE_COLUMNS])
        for sample, prediction in zip(evaluation.samples, evaluation.predictions, strict=True):
            writer.writerow([sample.path, sample.kind, *score_cells(prediction)])
