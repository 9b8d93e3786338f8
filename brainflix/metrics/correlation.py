"""Pearson's correlation of pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brainflix.metrics.base import Note
from brainflix.metrics.channel_products import (
    ChannelMetric,
    ChannelProductKernel,
    FrameStatistics,
)


class PixelCorrelation(ChannelMetric):
    """Pearson's r of all samples of a frame, the mean over frames."""

    name, kernel = "correlation@pixel", ChannelProductKernel

    @classmethod
    def from_statistics(cls, statistics: FrameStatistics) -> NDArray[np.float64]:
        """Return the mean over frames of each frame's r."""
        return np.asarray(statistics.correlation.mean(axis=0))

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Pixel correlation",
            shows="Pearson's correlation of all RGB samples of a frame with the true frame's, the "
            "mean over frames: the layout of light and colour, whatever the contrast. A frame of "
            "one level counts 0.",
            hides="Errors of brightness and contrast, and what is seen. Photographs share layouts "
            "(a bright upper half), so that mismatched clips correlate too.",
            short="pixel r",
        )
