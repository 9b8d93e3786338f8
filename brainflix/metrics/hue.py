"""Hue: the published cosine of OpenCV's hue numbers, and a correlation of colours."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import check_clips
from brainflix.metrics.base import Note, PairMetric
from brainflix.metrics.channel_products import (
    ChannelMetric,
    ChannelProductKernel,
    FrameStatistics,
)
from brainflix.metrics.opencv import require_opencv

Floats = NDArray[np.float64]


def opencv_hue(frames: NDArray[Any]) -> NDArray[np.uint8]:
    """Return OpenCV's 8-bit hue, 0 to 179, of frames (..., 3) whose channels are taken as B, G, R.

    Frames of another type than uint8 are rounded first.
    """
    cv2 = require_opencv()
    if frames.dtype != np.uint8:
        frames = np.rint(frames).clip(0, 255).astype(np.uint8)
    # conversion is pixel by pixel, so all frames are one picture of a pixel's width
    picture = np.ascontiguousarray(frames).reshape(-1, 1, 3)
    hue = cv2.cvtColor(picture, cv2.COLOR_BGR2HSV)[..., 0]
    return np.asarray(hue.reshape(frames.shape[:-1]))


def _hue_vectors(frames: NDArray[Any]) -> Floats:
    """Return each frame's hues as a vector of unit length, (clip, pixel); all 0 stay 0."""
    hues = opencv_hue(frames).reshape(len(frames), -1).astype(np.float64)
    length = np.sqrt(np.einsum("np,np->n", hues, hues))[:, None]
    return np.divide(hues, length, out=np.zeros_like(hues), where=length > 0)


class HueCosineKernel:
    """``hue@cosine``."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return the cosine of prediction i with clip i, the mean over frames, (clip,)."""
        check_clips(true, predicted)
        cosines = []
        for f in range(true.shape[1]):
            x, y = _hue_vectors(true[:, f]), _hue_vectors(predicted[:, f])
            cosines.append(np.einsum("np,np->n", y, x, dtype=np.float64))
        return {"hue@cosine": np.mean(cosines, axis=0)}

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return the cosine of every prediction with every clip, (prediction, clip)."""
        check_clips(true, predicted)
        cosines = [
            _hue_vectors(predicted[:, f]) @ _hue_vectors(true[:, f]).T for f in range(true.shape[1])
        ]
        return {"hue@cosine": np.mean(cosines, axis=0, dtype=np.float64)}


class HueCosine(PairMetric):
    """The published "Hue-pcc": an uncentred cosine of OpenCV's hue numbers."""

    name, kernel = "hue@cosine", HueCosineKernel

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Hue, uncentred cosine",
            shows="What is published as Hue-pcc: the cosine, not the correlation, between the hue "
            "numbers (0 to 179) of two frames, the mean over frames. OpenCV is told that the "
            "channels are B, G, R while they are R, G, B, as in the published code. A frame whose "
            "hues are all 0 counts 0, where that code divides by 0.",
            hides="Nearly everything. Numbers that are all positive have a high cosine whatever "
            "they are: look at what mismatched pairs score. Hue 179 is next to hue 0 and counts as "
            "far away; grey pixels have arbitrary hues and count as much as coloured ones.",
            short="hue cosine",
        )


class HueCentred(ChannelMetric):
    """Correlation of colours in the plane whose angle is hue, each frame about its mean."""

    name, kernel = "hue@centred", ChannelProductKernel

    @classmethod
    def from_statistics(cls, statistics: FrameStatistics) -> Floats:
        """Return the mean over frames of each frame's correlation of colours."""
        return np.asarray(statistics.colour_correlation.mean(axis=0))

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Hue, centred",
            shows="Where in the frame which colour is: Pearson's correlation over both coordinates "
            "of the plane in which hue is the angle and colourfulness the radius, each centred on "
            "the frame's mean, then the mean over frames. Circular, and grey pixels weigh nothing.",
            hides="An overall tint, which centring removes, and everything that differs in "
            "brightness alone. A frame of one colour counts 0.",
            short="hue r",
        )
