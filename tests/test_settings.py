# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import yaml

from dssm.errors import InputError
from dssm.settings import PRESETS, Settings, preset


@pytest.mark.parametrize("name", PRESETS)
def test_yaml_round_trip(name: str) -> None:
    settings = preset(name)
    assert Settings.from_dict(yaml.safe_load(settings.as_yaml())) == settings


def test_defaults_are_the_papers() -> None:
    settings = preset("paper")
    assert (settings.size, settings.epochs, settings.batch) == ((256, 256), 800, 32)
    assert (settings.rate, settings.momentum, settings.decay) == (0.03, 0.9, 3e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mask", "sponge"),
        ("ways", 4),
        ("ways", True),
        ("size", [256]),
        ("size", [250, 256]),
        ("epochs", 1.5),
        ("batch", 7),
        ("regress_weight", float("nan")),
        ("pooled_stages", 4),
        ("alpha", [0.5, 1.5]),
        ("area", [0.5, 0.1]),
        ("resolution", [3, 3]),
        ("patches", []),
        ("patches", ["blob"]),
        ("rate", "fast"),
        ("milestones", [0.5, 1.0]),
        ("width", 0),
        ("seed", -1),
        ("mscm_kernel", 2),
        ("map", "segmentation"),
        ("map", "bank"),
        ("map", "fused"),
        ("bank", -1),
        ("ridge", 0.0),
        ("crop", 100),
        ("size", "natural"),
        ("size", "native"),
        ("tile", [100, 64]),
        ("overlap", 0.9),
        ("holdout", 0.0),
    ],
)
def test_a_wrong_value_is_named(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"setting {name}"):
        Settings().replace(**{name: value})


def test_native_images_are_cut_into_tiles() -> None:
    settings = Settings().replace(size="native", tile=[64, 96])
    assert (settings.size, settings.tile) == ("native", (64, 96))
    assert Settings.from_dict(yaml.safe_load(settings.as_yaml())) == settings


def test_an_unknown_name_is_named() -> None:
    with pytest.raises(InputError, match="no setting 'lerning_rate'"):
        Settings().replace(lerning_rate=1)


def test_numbers_that_yaml_reads_as_text() -> None:
    assert Settings().replace(decay="3e-5").decay == 3e-5
