# SPDX-License-Identifier: Apache-2.0
"""Scores images with an exported model, without torch: python model.py model.onnx IMAGE..."""

import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def read(path: str) -> np.ndarray:
    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray(((np.asarray(image, np.uint32) + 128) // 257).astype(np.uint8))
    return np.asarray(image.convert("RGB"))


if __name__ == "__main__":
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    for path in sys.argv[2:]:
        # Beside them: map, and normalised_map, where 0.5 is the threshold.
        score, normalised, anomalous, mask = session.run(
            ["score", "normalised", "anomalous", "mask"], {"image": read(path)}
        )
        verdict = "anomalous" if anomalous else "good"
        print(f"{path}: score {score:.6g} ({normalised:.3f} of 1), {verdict}, {mask.mean():.2%} of it marked")
