"""Mean squared error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from brainflix.metrics.base import Note
from brainflix.metrics.channel_products import (
    DATA_RANGE,
    ChannelMetric,
    ChannelProductKernel,
    FrameStatistics,
)


class Mse(ChannelMetric):
    """Mean squared error of samples scaled to 0 to 1."""

    name, kernel, lower = "mse", ChannelProductKernel, True

    @classmethod
    def from_statistics(cls, statistics: FrameStatistics) -> NDArray[np.float64]:
        """Return the mean squared error over all frames."""
        return np.asarray(statistics.mse.mean(axis=0) / DATA_RANGE**2)

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Mean squared error",
            shows="Squared error of the RGB samples, scaled to 0 to 1, over all pixels and frames. "
            "Less is better.",
            hides="What is seen: the best constant answer is the mean of all clips, and it is hard "
            "to beat.",
            short="MSE",
            better="lower",
        )
