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
        score, anomalous, heat, mask = session.run(["score", "anomalous", "map", "mask"], {"image": read(path)})
        print(f"{path}: score {score:.6g}, {'anomalous' if anomalous else 'good'}, {mask.mean():.2%} of it marked")
