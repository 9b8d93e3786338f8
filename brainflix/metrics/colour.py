"""The weighted sums of red, green and blue that metrics call grey or luma."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GRAY = np.array([0.2125, 0.7154, 0.0721])  # scikit-image's rgb2gray
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def luma(frames: NDArray[Any]) -> Floats:
    """Return BT.601 luma of frames (..., 3), 0 to 255."""
    return np.asarray(frames.astype(np.float64) @ LUMA)


def weighted(frames: NDArray[Any], weights: Floats) -> NDArray[Any]:
    """Return the weighted sum of channels (..., 3): in single precision for bytes, else in double.

    Equal colours give equal sums.
    """
    working: Any = np.float32 if frames.dtype == np.uint8 else np.float64
    return np.asarray(frames.astype(working) @ weights.astype(working))
