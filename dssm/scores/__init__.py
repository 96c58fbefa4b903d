# SPDX-License-Identifier: Apache-2.0
"""From features to scores: Gaussians of good images, image scores, anomaly maps and thresholds."""

from __future__ import annotations

from dssm.scores.gaussian import Gaussian, Moments
from dssm.scores.scorer import Scorer
from dssm.scores.threshold import choose_thresholds, conformal_threshold

__all__ = ["Gaussian", "Moments", "Scorer", "choose_thresholds", "conformal_threshold"]
