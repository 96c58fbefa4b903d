# SPDX-License-Identifier: Apache-2.0
"""The package elpv-dataset; a small imitation of it, and the real one where it is installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from dssm.data import discover, elpv
from dssm.errors import InputError


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Ten good, three ambiguous, two likely and one certainly defective cell."""
    chances = ["0.0"] * 10 + [elpv.AMBIGUOUS] * 3 + ["0.6666666666666666"] * 2 + ["1.0"]
    (tmp_path / "elpv_dataset" / "data" / "images").mkdir(parents=True)
    (tmp_path / "elpv_dataset" / "__init__.py").write_text("raise RuntimeError('nobody needs to import this')")
    rows = [f"images/cell{i:04}.png  {chance}  mono\n" for i, chance in enumerate(chances)]
    (tmp_path / "elpv_dataset" / "data" / "labels.csv").write_text("".join(rows))
    return tmp_path


def test_the_word_means_the_package(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(package)
    found = discover("elpv")
    assert found == discover(package / "elpv_dataset" / "data")
    assert (found.name, found.layout, found.has_masks) == ("elpv", "elpv", False)
    assert len(found.train) == 8
    assert sorted(sample.kind for sample in found.test) == ["certain", "good", "good", "likely", "likely"]
    assert len({discover("elpv", seed=seed) for seed in range(20)}) > 10


def test_broken_row(package: Path) -> None:
    table = package / "elpv_dataset" / "data" / "labels.csv"
    table.write_text(table.read_text() + "images/cell9999.png often mono\n")
    with pytest.raises(InputError, match=r"labels\.csv, line 17"):
        discover(table.parent)


def test_package_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elpv, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r'pip install "dssm-surface\[demo\]"'):
        discover("elpv")


@pytest.mark.skipif(find_spec("elpv_dataset") is None, reason="REAL DATA MISSING: pip install elpv-dataset")
def test_real() -> None:
    found = discover("elpv")
    kinds = [sample.kind for sample in found.test]
    assert len(found.train) == 1206
    assert [kinds.count(kind) for kind in ("good", "likely", "certain")] == [302, 106, 715]
    assert all(sample.path.is_file() for sample in found.train + found.test)
