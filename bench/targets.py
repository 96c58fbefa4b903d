# SPDX-License-Identifier: Apache-2.0
"""How many times faster than its rival an op must be on one thread, with AVX-512; other levels must reach half."""

from __future__ import annotations

_HOG = {"skimage uint8": 200, "skimage float32": 150, "opencv uint8": 4.5}
_MSCM = {
    "c=512 8x8 forward": 2.2,
    "c=64 64x64 forward": 12,
    "c=512 8x8 forward+backward": 1.9,
    "c=64 64x64 forward+backward": 6,
}
_AUGMENT = ("autocontrast", "posterize", "solarize", "sharpness", "brightness", "color")

TARGETS: dict[tuple[str, str], float] = {
    **{
        ("hog", f"{mode} {size} {dtype}"): ratio
        for (mode, dtype), ratio in ((name.split(), ratio) for name, ratio in _HOG.items())
        for size in ("64x128", "256x256")
    },
    ("perlin", "noise, threshold, component 256x256"): 250,
    ("component", "256x256"): 15,
    ("paste", "256x256 uint8"): 150,
    ("paste", "256x256 float32"): 80,
    **{("augment", f"{name} 256x256"): 5 for name in _AUGMENT},
    **{("mscm", case): ratio for case, ratio in _MSCM.items()},
    ("mahalanobis", "C=100 64x64"): 5,
    ("step", "paper 256x256"): 1.8,
    ("step", "quick 256x256"): 1.8,
}
MAKING_SHARE = 0.01  # of a step: paste and targets together


def target(op: str, case: str, level: str) -> float | None:
    """The ratio to reach with kernels of this level of instructions, None where none was promised.

    The step's is the same everywhere: most of a step is the convolutions of PyTorch.
    """
    full = TARGETS.get((op, case))
    return full / 2 if full is not None and level != "avx512" and op != "step" else full
