# SPDX-License-Identifier: Apache-2.0
"""Every setting of training and scoring in one place, the presets, and their YAML form."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import yaml

from dssm.errors import InputError

Size = tuple[int, int]


def _setting(default: Any, about: str) -> Any:
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings; the defaults are the paper's (sections III, IV-A). A value that cannot work raises InputError.

    What the paper does not say is decided here: the rate falls along a cosine, the regression weighs 100, and a tenth
    of the good images chooses the thresholds instead of training.
    """

    method: Literal["dssm", "cutpaste", "draem", "cdo", "padim", "patchcore", "patch_svdd", "students"] = _setting(
        "dssm", "the system that is trained; the others are there to compare with"
    )

    # images
    size: Size | Literal["native"] | None = _setting(
        (256, 256),
        "height and width that images are resized to; null keeps their aspect ratio; native: not at all, with tile",
    )
    pixels: int = _setting(256 * 256, "pixels per image where size is null")
    tile: Size | None = _setting(
        None, "height and width of overlapping tiles that images are cut into and the network sees; null: whole images"
    )
    overlap: float = _setting(0.2, "share of its sides, at least, that a tile has in common with its neighbours")
    crop: int | None = _setting(None, "side of the windows of the images that training sees; null: whole images")
    textures: str = _setting("builtin", "where pasted texture comes from: a folder of images, or builtin")
    holdout: float = _setting(0.1, "share of the good images kept out of training, to choose the thresholds")

    backbone: Literal["resnet18", "efficientnet-lite0"] = _setting("resnet18", "the network that extracts features")
    weights: str | None = _setting(
        None, "weights that it starts from: a file, imagenet (of a package, for efficientnet-lite0), or null: none"
    )
    frozen: bool = _setting(False, "the backbone keeps the weights that it starts from; only the heads learn")
    width: float = _setting(1.0, "factor on the channels of networks that a method has of its own (draem)")
    sspcab: bool = _setting(False, "the predictive block SSPCAB inside the network (cutpaste, draem)")

    # the anomalies that training pastes in
    patches: tuple[Literal["noise", "scar", "patch"], ...] = _setting(("noise", "scar"), "kinds of patches (Table 8)")
    alpha: tuple[float, float] = _setting((0.5, 1.0), "range of the weight of the original under a noise patch (eq. 3)")
    threshold: float = _setting(0.5, "Perlin noise above this is patch")
    resolution: tuple[int, int] = _setting((0, 6), "Perlin lattice of 2^k cells per axis, k from this half-open range")
    area: tuple[float, float] = _setting((0.0, 1.0), "smallest and largest share of the image that a patch covers")
    augment: int = _setting(3, "how many of the six random image operations the texture undergoes")

    # the self-supervised tasks
    classify: bool = _setting(True, "image-level task: tell normal from pasted images (Table 7, NP)")
    ways: Literal[2, 3] = _setting(3, "classes of that task: 2 normal/pasted, 3 normal/noise/scar (Table 8)")
    regress: Literal["hog", "rgb", "none"] = _setting("hog", "target of the pixel-level task (Tables 6 and 7)")
    target: Literal["own", "clean"] = _setting(
        "own", "whose target a pasted image predicts: its own (eq. 5) or the clean one"
    )
    regress_weight: float = _setting(100.0, "weight of the regression beside the classification")
    mask: Literal["mscm", "rectangle", "dropout", "none"] = _setting("mscm", "how features are masked (Table 9)")
    mscm_dilation: int = _setting(2, "padding d of the MSCM (eq. 6)")
    mscm_kernel: int = _setting(1, "kernel size of the MSCM's convolutions, odd")
    mscm_shared: bool = _setting(False, "one weight for the four windows of the MSCM")
    segment: bool = _setting(False, "a head that finds the pasted patch (the abstract's second task)")
    segment_weight: float = _setting(1.0, "weight of that head's loss")

    # optimisation
    epochs: int | None = _setting(800, "passes over the good images; null: as many as `samples` needs")
    samples: int = _setting(2000, "good images shown in all where epochs is null")
    batch: int = _setting(32, "images per step: good ones and what is made of them")
    optimizer: Literal["sgd", "adam", "adamw"] = _setting("sgd", "the paper's; adamw learns more from few images")
    rate: float = _setting(0.03, "peak learning rate")
    schedule: Literal["cosine", "steps"] = _setting("cosine", "the rate falls to zero along a cosine, or in steps")
    milestones: tuple[float, ...] = _setting((0.5, 0.75), "steps: shares of training after which it is a tenth")
    warmup: float = _setting(0.0, "share of the steps in which the rate rises to its peak")
    momentum: float = _setting(0.9, "momentum of SGD")
    decay: float = _setting(3e-5, "weight decay; adamw takes it apart from the gradient")
    precision: Literal["auto", "float32", "bfloat16"] = _setting("auto", "auto: bfloat16 where the hardware has it")
    checkpoint: float = _setting(20.0, "least seconds between two checkpoints")
    seed: int = _setting(0, "fixes the weights, the order of the images and every patch")

    # scores
    image_score: Literal["pooled", "projector", "map", "fused"] = _setting(
        "pooled",
        "Mahalanobis distance of pooled or projected features (eq. 9), the top of the map, or fused: the larger of "
        "top and pooled on one scale, pooled lowered by a deviation",
    )
    pooled_stages: tuple[int, ...] = _setting((4,), "stages whose pooled features enter the image score")
    map: Literal["mahalanobis", "segmentation", "bank", "fused"] = _setting(
        "mahalanobis",
        "one Gaussian per position (eq. 9), the patch head, the bank, or the sum of all that there are on one scale",
    )
    lower: bool = _setting(
        False, "an image that is strange all over, by its camera or light, has its map lowered, not its image score"
    )
    map_stages: tuple[int, ...] = _setting((1, 2, 3), "stages whose features enter the Mahalanobis map")
    map_channels: int = _setting(100, "channels drawn at random from those stages")
    ridge: float | None = _setting(None, "share of the variance added to that map's covariances; null: OAS shrinkage")
    bank: int = _setting(0, "good feature vectors that every place is compared with; 0: none")
    discriminator: int = _setting(
        0, "steps of training a small network that tells the bank's features from noisy ones, to judge images; 0: none"
    )
    smooth: float = _setting(4.0, "sigma of the Gaussian that smooths the map, in pixels per 256 pixels of height")
    false_reject: float = _setting(0.01, "share of good images that the thresholds may reject")
    pixel_false_reject: float | None = _setting(
        None, "share of good images in which any pixel may be above the threshold of pixels; null: as false_reject"
    )

    def __post_init__(self) -> None:
        for name, hint in get_type_hints(Settings).items():
            object.__setattr__(self, name, _conform(name, getattr(self, name), hint))
        self._check()

    def _check(self) -> None:
        if self.size == "native" and self.tile is None:
            raise InputError("setting size: native images may be of any size: set tile too, such as 256x256")
        pair = ("alpha", "area")
        rules = {
            "size": self.size == "native" or _fits(self.size),
            "tile": _fits(self.tile),
            "overlap": 0 <= self.overlap <= 0.75,
            "pixels": 64 * 64 <= self.pixels <= 4096 * 4096,
            "crop": self.crop is None or (self.crop % 32 == 0 and 64 <= self.crop <= 4096),
            "holdout": 0 < self.holdout <= 0.5,
            "patches": len(self.patches) > 0,
            "threshold": -2 <= self.threshold <= 2,
            "width": 0 < self.width <= 4,
            "regress_weight": 0 <= self.regress_weight < math.inf,
            "segment_weight": 0 <= self.segment_weight < math.inf,
            "resolution": 0 <= self.resolution[0] < self.resolution[1] <= 10,
            **{name: 0 <= getattr(self, name)[0] <= getattr(self, name)[1] <= 1 for name in pair},
            "augment": 0 <= self.augment <= 6,
            "classify": self.classify or self.regress != "none" or self.segment,
            "mscm_dilation": self.mscm_dilation >= 1,
            "mscm_kernel": self.mscm_kernel >= 1 and self.mscm_kernel % 2 == 1,
            "epochs": self.epochs is None or self.epochs >= 0,
            "samples": self.samples >= 1,
            "batch": self.batch >= 2 and self.batch % 2 == 0,
            "rate": self.rate > 0,
            "milestones": all(0 < share < 1 for share in self.milestones),
            "warmup": 0 <= self.warmup < 1,
            "momentum": 0 <= self.momentum < 1,
            "decay": self.decay >= 0,
            "checkpoint": self.checkpoint >= 0,
            "seed": 0 <= self.seed < 2**63,
            "image_score": self.image_score != "projector" or self.classify,
            "pooled_stages": len(self.pooled_stages) > 0 and set(self.pooled_stages) <= {1, 2, 3, 4},
            "map": set(self.maps) <= set(self._known_maps) and (self.map != "fused" or len(self.maps) > 1),
            "map_stages": len(self.map_stages) > 0 and set(self.map_stages) <= {1, 2, 3, 4},
            "map_channels": self.map_channels >= 1,
            "ridge": self.ridge is None or 0 < self.ridge < math.inf,
            "bank": self.bank >= 0,
            "discriminator": self.discriminator >= 0,
            "smooth": self.smooth >= 0,
            "false_reject": 0 < self.false_reject < 1,
            "pixel_false_reject": self.pixel_false_reject is None or 0 < self.pixel_false_reject < 1,
        }
        for name, holds in rules.items():
            if not holds:
                raise InputError(f"setting {name}: {getattr(self, name)!r} cannot be used; it is: {about(name)}")

    @property
    def maps(self) -> tuple[str, ...]:
        """The maps whose sum is the anomaly map."""
        return self._known_maps if self.map == "fused" else (self.map,)

    @property
    def false_rejects(self) -> dict[str, float]:
        """The shares of good images that the thresholds of images and of pixels may reject."""
        pixel = self.false_reject if self.pixel_false_reject is None else self.pixel_false_reject
        return {"image": self.false_reject, "pixel": pixel}

    @property
    def _known_maps(self) -> tuple[str, ...]:
        known = {"mahalanobis": True, "segmentation": self.segment, "bank": self.bank > 0}
        return tuple(name for name, there in known.items() if there)

    def replace(self, **changes: Any) -> Settings:
        """A copy with some settings changed; raises InputError for a name that does not exist."""
        known = {f.name for f in dataclasses.fields(self)}
        for name in changes:
            if name not in known:
                raise InputError(f"there is no setting {name!r}; `dssm settings` lists them")
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for YAML and JSON: tuples become lists."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in dataclasses.asdict(self).items()}

    def as_yaml(self) -> str:
        """A config file, every setting with a word on what it does."""
        lines = []
        for key, value in self.as_dict().items():
            line = yaml.safe_dump({key: value}, default_flow_style=None if isinstance(value, list) else False)
            lines.append(f"{line.strip()}  # {about(key)}\n")
        return "".join(lines)

    @staticmethod
    def from_dict(values: Mapping[str, Any], base: Settings | None = None) -> Settings:
        """Settings from plain values over a base (the paper's defaults)."""
        return (base or Settings()).replace(**values)


def _fits(size: Size | None) -> bool:
    """Whether the backbone, which halves the sides five times, takes this size."""
    return size is None or all(side % 32 == 0 and 32 <= side <= 4096 for side in size)


def about(name: str) -> str:
    """What a setting does, in a line."""
    return next(f.metadata["about"] for f in dataclasses.fields(Settings) if f.name == name)


def read_config(path: str | Path) -> dict[str, Any]:
    """The mapping in a YAML file; raises InputError that names it when it is not one."""
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a YAML file: {str(error).splitlines()[0]}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold lines of `setting: value`")
    return {str(key): value for key, value in values.items()}


def _conform(name: str, value: Any, hint: Any) -> Any:
    """The value as the type of its annotation, e.g. a YAML list as a tuple; raises InputError where it cannot be."""
    arguments = get_args(hint)
    if get_origin(hint) is Literal:
        if value in arguments and isinstance(value, type(arguments[0])):
            return value
        raise InputError(f"setting {name} must be one of {', '.join(map(str, arguments))}, not {value!r}")
    if type(None) in arguments:
        words = [word for a in arguments if get_origin(a) is Literal for word in get_args(a)]
        inner = next(a for a in arguments if a is not type(None))
        return value if value is None or value in words else _conform(name, value, inner)
    if get_origin(hint) is tuple:
        open_ended = arguments[-1] is Ellipsis
        if isinstance(value, (list, tuple)) and (open_ended or len(value) == len(arguments)):
            kinds = [arguments[0]] * len(value) if open_ended else arguments
            return tuple(_conform(name, item, kind) for item, kind in zip(value, kinds, strict=True))
    elif hint is float and _is_number(value):
        return float(value)
    elif isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    wanted = (
        getattr(hint, "__name__", str(hint))
        if not arguments
        else "a list"
        if Ellipsis in arguments
        else f"a list of {len(arguments)} values"
    )
    raise InputError(f"setting {name} must be {wanted}, not {value!r}; it is: {about(name)}")


def _is_number(value: Any) -> bool:
    """Numbers, and strings such as 3e-5, which YAML does not take for a number."""
    if isinstance(value, str):
        return re.fullmatch(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?", value) is not None
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# What the presets change. `quick` and `best` keep the aspect ratio, paste smaller and plainer patches, learn to find
# them, and take an optimiser that gets further in few steps.
_SMALL_DEFECTS: dict[str, Any] = {
    "size": None,
    "epochs": None,
    "optimizer": "adamw",
    "rate": 0.001,
    "decay": 0.01,
    "alpha": (0.2, 0.8),
    "area": (0.0, 0.1),
    "segment": True,
    "pooled_stages": (2, 3, 4),
    "map": "fused",
}

PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "quick": {**_SMALL_DEFECTS, "pixels": 192 * 192, "samples": 2000, "warmup": 0.1},
    "best": {
        **_SMALL_DEFECTS,
        "pixels": 512 * 512,
        "crop": 128,
        "backbone": "efficientnet-lite0",
        "weights": "imagenet",
        "frozen": True,
        "classify": False,
        "regress": "none",
        "rate": 0.003,
        "samples": 12000,
        "warmup": 0.1,
        "bank": 1000,
        "discriminator": 800,
        "ridge": 0.01,
        "lower": True,
        "image_score": "fused",
    },
}


DEFAULT = "best"


def preset(name: str) -> Settings:
    """The settings of a preset: `paper`, `quick` or `best`."""
    if not isinstance(name, str) or name not in PRESETS:
        raise InputError(f"preset must be one of {', '.join(PRESETS)}, not {name!r}")
    return Settings().replace(**PRESETS[name])
