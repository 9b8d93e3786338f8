"""Peak signal-to-noise ratio, as published and of luma."""

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

Floats = NDArray[np.float64]
PUBLISHED_CAP = 100.0  # dB that the published code gives to a frame without error
ROUNDING = 1 / 12  # squared grey levels: the mean squared error of rounding to whole levels


class Psnr(ChannelMetric):
    """Peak signal-to-noise ratio, data range 255, the mean over frames."""

    name, kernel = "psnr", ChannelProductKernel

    @classmethod
    def from_statistics(cls, statistics: FrameStatistics) -> Floats:
        """Return 10 log10(255^2 / MSE) of each frame, averaged over frames, in dB."""
        with np.errstate(divide="ignore"):
            ratio = 10 * np.log10(DATA_RANGE**2 / statistics.mse)  # (frame, ...)
        ratio[statistics.mse < 1e-10] = PUBLISHED_CAP
        return np.asarray(ratio.mean(axis=0))

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "PSNR",
            shows="Squared error of the RGB samples on a logarithmic scale, frame by frame, then "
            "the mean over frames: right colours in the right places. A frame without error "
            "counts 100 dB, as in Mind-Animator's code; scikit-image gives infinity.",
            hides="What is seen. An average of everything is nearer to any clip than a sharp "
            "picture of the right thing a few pixels off, so the mean training clip is a strong "
            "rival.",
            unit="dB",
        )


class PsnrLuma(ChannelMetric):
    """PSNR of luma from the squared error of the whole clip."""

    name, kernel = "psnr@luma", ChannelProductKernel

    @classmethod
    def from_statistics(cls, statistics: FrameStatistics) -> Floats:
        """Return 10 log10(255^2 / MSE) of the luma of all frames together, in dB."""
        error = np.maximum(statistics.luma_mse.mean(axis=0), ROUNDING)
        return np.asarray(10 * np.log10(DATA_RANGE**2 / error))

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "PSNR of luma",
            shows="Squared error of BT.601 luma over the whole clip, then one logarithm (data "
            "range 255): one bad frame weighs as much as its error. Errors below the rounding of "
            "bytes (1/12, that is 58.9 dB) count as such.",
            hides="Colour, and what is seen: as for PSNR, an average of everything is a strong "
            "rival.",
            unit="dB",
            short="PSNR luma",
        )
