# SPDX-License-Identifier: Apache-2.0
"""The accuracy table of the README: an untrained network and the quick preset on every data set found under a folder.

    python bench/accuracy.py DATA

Every row is one training and one evaluation by the command line, kept in runs/accuracy; what is finished is not done
again. Rows of several seeds or folds are averaged. The table is printed and written to docs/accuracy.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from dssm import files

UNTRAINED = ["--preset", "paper", "--epochs", "0"]  # pooled features and the Mahalanobis map at 256x256
QUICK = ["--preset", "quick"]
# name, folder below DATA, protocol, seeds; under the strict protocol a seed is a fold
SETS = [
    ("BSD, paper's split", "bsd", "paper", (0,)),
    ("BSD, strict folds", "bsd", "strict", (0, 1, 2)),
    ("MVTec bottle", "mvtec/bottle", None, (0,)),
    ("MVTec pill", "mvtec/pill", None, (0,)),
    ("magnetic tile", "magnetic_tile", None, (0,)),
]
KEYS = ("image_auroc", "pixel_auroc", "pixel_aupro")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with bsd, mvtec/bottle, ...")
    parser.add_argument("--runs", type=Path, default=Path("runs/accuracy"))
    parser.add_argument(
        "--table-only", action="store_true", help="train nothing; only what is finished enters the table"
    )
    options = parser.parse_args()
    rows = []
    for name, folder, protocol, seeds in SETS:
        for system, arguments in (("untrained", UNTRAINED), ("quick", QUICK)):
            results = []
            for seed in seeds:
                run = options.runs / f"{folder.replace('/', '-')}-{protocol or 'split'}-{system}-{seed}"
                extra = [*arguments, "--seed", str(seed), *(["--protocol", protocol] if protocol else [])]
                if not options.table_only:
                    finish(run, options.data / folder, extra)
                if (run / "evaluation" / "metrics.json").exists():
                    results.append(json.loads((run / "evaluation" / "metrics.json").read_text()))
            if results:
                means = {key: round(100 * statistics.mean(r[key] for r in results), 2) for key in KEYS}
                rows.append({"data": name, "system": system, "runs": len(results), **means})
    print(table(rows))
    files.write_json("docs/accuracy.json", rows)


def finish(run: Path, data: Path, arguments: list[str]) -> None:
    """Train and evaluate unless that is done."""
    command = [sys.executable, "-m", "dssm"]
    if not (run / "model.json").exists():
        resume = ["--resume"] if (run / "config.yaml").exists() else [str(data), *arguments]
        subprocess.run([*command, "train", *resume, "--out", str(run)], check=True)
    if not (run / "evaluation" / "metrics.json").exists():
        subprocess.run([*command, "evaluate", str(run), str(data)], check=True)


def table(rows: list[dict]) -> str:
    """Markdown."""
    lines = ["| data | system | runs | image AUROC | pixel AUROC | pixel AUPRO |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {row['data']} | {row['system']} | {row['runs']} | " + " | ".join(f"{row[key]:.1f}" for key in KEYS) + " |"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
