# SPDX-License-Identifier: Apache-2.0
"""From features to scores: Gaussians of good images, image scores, anomaly maps and thresholds."""

from __future__ import annotations

from dssm.scores.false_reject import FalseReject
from dssm.scores.gaussian import Gaussian, Moments
from dssm.scores.normalise import normalise
from dssm.scores.scorer import Scorer
from dssm.scores.threshold import GoodScores, conformal_threshold

__all__ = ["FalseReject", "Gaussian", "GoodScores", "Moments", "Scorer", "conformal_threshold", "normalise"]
