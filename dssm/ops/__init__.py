# SPDX-License-Identifier: Apache-2.0
"""The ops: one module, one function and one word each. `backend=` and DSSM_BACKEND choose who computes."""

from __future__ import annotations

from dssm.ops.augment import augment
from dssm.ops.batchnorm import batchnorm
from dssm.ops.blend import blend
from dssm.ops.component import component
from dssm.ops.convolution import convolution
from dssm.ops.hog import hog
from dssm.ops.mahalanobis import mahalanobis
from dssm.ops.mscm import mscm
from dssm.ops.paste import paste
from dssm.ops.perlin import perlin

__all__ = ["augment", "batchnorm", "blend", "component", "convolution", "hog", "mahalanobis", "mscm", "paste", "perlin"]
