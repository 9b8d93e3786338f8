"""Colours as the published metrics compute them: grey, luma, OpenCV's hue."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
GRAY = np.array([0.2125, 0.7154, 0.0721])  # scikit-image's rgb2gray
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_SHIFT = 12  # OpenCV's 8-bit hue is computed in fixed point
_WORTHWHILE = 3_000_000  # samples from which a table of all colours is quicker
_PER_DIFFERENCE = np.concatenate(
    [[0], np.rint((180 << _SHIFT) / (6.0 * np.arange(1, 256)))]
).astype(np.int32)


def luma(frames: NDArray[Any]) -> Floats:
    """Return BT.601 luma of frames (..., 3), 0 to 255."""
    return np.asarray(frames.astype(np.float64) @ LUMA)


def weighted(frames: NDArray[Any], weights: Floats) -> NDArray[Any]:
    """Return the weighted sum of channels (..., 3): in single precision of bytes, else in double.

    Equal colours give equal sums.
    """
    working: Any = np.float32 if frames.dtype == np.uint8 else np.float64
    return np.asarray(frames.astype(working) @ weights.astype(working))


def opencv_hue(frames: NDArray[Any]) -> NDArray[np.uint8]:
    """Return OpenCV's 8-bit hue, 0 to 179, of frames (..., 3) whose channels are taken as B, G, R.

    Equal to ``cv2.cvtColor(frame, cv2.COLOR_BGR2HSV)[..., 0]`` for every colour. Other types than
    uint8 are rounded first.
    """
    if frames.dtype != np.uint8:
        frames = np.rint(frames).clip(0, 255).astype(np.uint8)
    if frames.size < _WORTHWHILE:
        return _fixed_point_hue(frames)
    code = frames[..., 0].astype(np.int32)
    for channel in (1, 2):
        code <<= 8
        code |= frames[..., channel]
    return _hue_of_every_colour()[code]


@lru_cache(maxsize=1)
def _hue_of_every_colour() -> NDArray[np.uint8]:
    """Return the hue of each of the 2^24 colours, 16 MiB."""
    table = np.empty((256, 256, 256), dtype=np.uint8)
    colours = np.empty((256, 256, 3), dtype=np.uint8)
    levels = np.arange(256, dtype=np.uint8)
    colours[..., 1], colours[..., 2] = levels[:, None], levels[None, :]
    for first in range(256):
        colours[..., 0] = first
        table[first] = _fixed_point_hue(colours)
    return table.reshape(-1)


def _fixed_point_hue(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    wide = frames.astype(np.int16)
    b, g, r = wide[..., 0], wide[..., 1], wide[..., 2]
    value = np.maximum(np.maximum(b, g), r)
    difference = value - np.minimum(np.minimum(b, g), r)
    turned = np.where(
        value == r,
        g - b,
        np.where(value == g, b - r + 2 * difference, r - g + 4 * difference),
    )
    hue = (turned * _PER_DIFFERENCE[difference] + (1 << (_SHIFT - 1))) >> _SHIFT
    return (hue + 180 * (hue < 0)).astype(np.uint8)
