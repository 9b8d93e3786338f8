"""Products of colour channels, from which PSNR, MSE and the correlations of pixels follow.

A frame's three channels are three vectors. Their inner products with the three of another frame
give its squared error, its correlation, the error of its luma and the correlation of its colours,
without looking at the pixels again: one matrix product scores all pairs of clips by all of these
metrics.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import check_clips
from brainflix.metrics.base import PairMetric
from brainflix.metrics.catalogue import lookup
from brainflix.metrics.colour import LUMA

Floats = NDArray[np.float64]
DATA_RANGE = 255.0


@dataclass(frozen=True)
class FrameStatistics:
    """How the frames of some pairs of clips differ, frame by frame.

    Attributes
    ----------
    mse : ndarray of float64, shape (frame, ...)
        Mean squared error of the RGB samples, in squared grey levels. The other axes are
        (clip,), or (prediction, clip) for all pairs.
    luma_mse : ndarray of float64, shape (frame, ...)
        Mean squared error of BT.601 luma.
    correlation : ndarray of float64, shape (frame, ...)
        Pearson's r of all samples.
    colour_correlation : ndarray of float64, shape (frame, ...)
        Pearson's r over both coordinates of the plane in which hue is the angle.
    """

    mse: Floats
    luma_mse: Floats
    correlation: Floats
    colour_correlation: Floats


class ChannelMetric(PairMetric):
    """A metric that follows from the statistics of frames."""

    @classmethod
    @abstractmethod
    def from_statistics(cls, statistics: FrameStatistics) -> Floats:
        """Return the metric's scores, without the axis of frames."""


class ChannelProductKernel:
    """Scores clips by every metric that is a :class:`ChannelMetric`."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return scores of prediction i with clip i, (clip,), by metric."""
        check_clips(true, predicted)
        frames = []
        for frame in range(true.shape[1]):
            x, y = _channel_vectors(true[:, frame]), _channel_vectors(predicted[:, frame])
            cross = y @ x.transpose(0, 2, 1)  # (clip, channel, channel)
            frames.append(
                _statistics(ChannelMoments.of(x), ChannelMoments.of(y), cross, x.shape[2])
            )
        return self._scores(frames, (len(true),))

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return scores of every prediction with every clip, (prediction, clip), by metric."""
        check_clips(true, predicted)
        n, m = len(true), len(predicted)
        frames = []
        for frame in range(true.shape[1]):
            x, y = _channel_vectors(true[:, frame]), _channel_vectors(predicted[:, frame])
            pixels = x.shape[2]
            # one product gives the channels of all predictions times those of all clips
            cross = y.reshape(3 * m, pixels) @ x.reshape(3 * n, pixels).T
            # (prediction x channel, clip x channel) -> (prediction, clip, channel, channel)
            cross = cross.reshape(m, 3, n, 3).transpose(0, 2, 1, 3)
            true_moments = ChannelMoments.of(x).along(0)
            predicted_moments = ChannelMoments.of(y).along(1)
            frames.append(_statistics(true_moments, predicted_moments, cross, pixels))
        return self._scores(frames, (m, n))

    def _scores(self, frames: list[FrameStatistics], shape: tuple[int, ...]) -> dict[str, Floats]:
        def stacked(name: str) -> Floats:
            return np.stack([np.broadcast_to(getattr(one, name), shape) for one in frames])

        statistics = FrameStatistics(
            *[stacked(name) for name in FrameStatistics.__dataclass_fields__]
        )  # (frame, ...)
        scores = {}
        for name in self.names:
            metric = cast("type[ChannelMetric]", lookup(name))
            scores[name] = metric.from_statistics(statistics)
        return scores


@dataclass(frozen=True)
class ChannelMoments:
    """Sums and inner products of the three channels of some clips' frames.

    Attributes
    ----------
    sums : ndarray of float64, shape (..., channel)
    products : ndarray of float64, shape (..., channel, channel)
    """

    sums: Floats
    products: Floats

    @classmethod
    def of(cls, channels: Floats) -> ChannelMoments:
        """Compute the moments of channel vectors (clip, channel, pixel)."""
        return cls(channels.sum(axis=2), channels @ channels.transpose(0, 2, 1))

    def along(self, axis: int) -> ChannelMoments:
        """Return the same with an axis for the clips that these are compared with."""
        return ChannelMoments(np.expand_dims(self.sums, axis), np.expand_dims(self.products, axis))

    def spread(self, pixels: int) -> Floats:
        """Return the sum of squares about the mean of all samples."""
        squares = np.einsum("...cc->...", self.products)
        return _without_rounding(squares - self.sums.sum(axis=-1) ** 2 / (3 * pixels), squares)

    def chroma_spread(self, pixels: int) -> Floats:
        """Return the sum of squares of both colour coordinates about their means."""
        centred = self.products - self.sums[..., :, None] * self.sums[..., None, :] / pixels
        return _without_rounding(_chroma(centred), np.einsum("...cc->...", self.products))


def _statistics(
    true: ChannelMoments, predicted: ChannelMoments, cross: Floats, pixels: int
) -> FrameStatistics:
    """Return the statistics of one frame of each pair.

    Parameters
    ----------
    true, predicted : ChannelMoments
    cross : ndarray of float64, shape (..., channel, channel)
        Inner products of the prediction's channels with the true ones.
    pixels : int
        Pixels of a frame.
    """
    # products of the difference's channels: (x - y)(x - y)' = xx' + yy' - yx' - xy'
    difference = true.products + predicted.products - cross - np.swapaxes(cross, -1, -2)
    # covariances of the channels, each about its own mean, times the number of pixels
    centred = cross - predicted.sums[..., :, None] * true.sums[..., None, :] / pixels
    # the covariance of all samples is about the common mean of the three channels instead
    covariance = np.einsum("...cc->...", cross) - (
        predicted.sums.sum(axis=-1) * true.sums.sum(axis=-1) / (3 * pixels)
    )
    return FrameStatistics(
        # the trace is the sum of squared errors over all samples
        mse=np.maximum(np.einsum("...cc->...", difference), 0) / (3 * pixels),
        # the error of a weighted sum of channels is the quadratic form of its weights
        luma_mse=np.maximum(difference @ LUMA @ LUMA, 0) / pixels,
        correlation=_correlation(covariance, true.spread(pixels), predicted.spread(pixels)),
        colour_correlation=_correlation(
            _chroma(centred), true.chroma_spread(pixels), predicted.chroma_spread(pixels)
        ),
    )


def _channel_vectors(frames: NDArray[Any]) -> Floats:
    """Turn frames (clip, height, width, 3) into vectors (clip, channel, pixel)."""
    flat = frames.reshape(len(frames), -1, 3)
    return np.ascontiguousarray(flat.transpose(0, 2, 1), dtype=np.float64)


def _chroma(products: Floats) -> Floats:
    """Turn products of R, G, B (..., 3, 3) into the product of the two colour coordinates, (...).

    These are R - (G + B) / 2 and sqrt(3) / 2 (G - B), the plane in which hue is the angle. The sum
    of their products is 1.5 times the trace less half the sum of all entries.
    """
    trace = np.einsum("...cc->...", products)
    return np.asarray(1.5 * trace - 0.5 * products.sum(axis=(-1, -2)))


def _without_rounding(spread: Floats, squares: Floats) -> Floats:
    """Return a spread, 0 where it is no more than the rounding of what it was formed from."""
    return np.where(spread > 1e-12 * np.maximum(squares, 1.0), spread, 0.0)


def _correlation(covariance: Floats, spread: Floats, other: Floats) -> Floats:
    """Return Pearson's r, 0 where one of the two does not vary."""
    scale = np.broadcast_to(np.sqrt(spread * other), covariance.shape)
    return np.divide(covariance, scale, out=np.zeros(covariance.shape), where=scale > 0)
