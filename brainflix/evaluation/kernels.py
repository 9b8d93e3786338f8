"""Kernels of the metrics that compare frames: SSIM of three kinds, squared error, hue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.evaluation import ssim
from brainflix.evaluation.clips import check_clips
from brainflix.evaluation.colour import GRAY, LUMA, opencv_hue, weighted
from brainflix.evaluation.gaussian_ssim import Windows, check_size

Floats = NDArray[np.float64]
DATA_RANGE = 255.0
PUBLISHED_CAP = 100.0  # dB that the published code gives to a frame without error
ROUNDING = 1 / 12  # squared grey levels: the mean squared error of rounding to whole levels
_SAMPLES = 65_536  # pixels of one clip worked on at a time


class _Kernel:
    def __init__(self, names: frozenset[str]) -> None:
        self.names = names


class UniformSsim(_Kernel):
    """``ssim@rgb``."""

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        return {"ssim@rgb": ssim.ssim(true, predicted)}

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        return {"ssim@rgb": ssim.ssim_every(true, predicted)}


class _GaussianSsim(_Kernel, ABC):
    """SSIM of one brightness channel; the subclass says which."""

    whole, columns = "", ""
    data_range = 1.0

    @abstractmethod
    def brightness(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Return the channel that is compared."""

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        pairs = zip(true, predicted, strict=True)
        found = [self.every(x[None], y[None]) for x, y in pairs]
        return {name: np.array([one[name][0, 0] for one in found]) for name in self.names}

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        check_clips(true, predicted)
        check_size(true, columns=self.whole not in self.names)
        frames, height, width = true.shape[1:4]
        together = max(1, _SAMPLES // (height * width))
        total = np.zeros((2, len(predicted), len(true)))
        for start in range(0, frames, together):
            part = slice(start, min(start + together, frames))
            mine, theirs = (self._windows(clips[:, part]) for clips in (predicted, true))
            for i, j in np.ndindex(total.shape[1:]):
                total[:, i, j] += np.multiply(mine[i].score(theirs[j]), part.stop - part.start)
        total /= frames
        found = {self.whole: total[0], self.columns: total[1]}
        return {name: found[name] for name in self.names}

    def _windows(self, clips: NDArray[Any]) -> list[Windows]:
        whole, columns = self.whole in self.names, self.columns in self.names
        return [
            Windows(self.brightness(clip), self.data_range, whole=whole, columns=columns)
            for clip in clips
        ]


class GraySsim(_GaussianSsim):
    """``ssim@gray`` and ``ssim@column``."""

    whole, columns = "ssim@gray", "ssim@column"

    def brightness(self, frames: NDArray[Any]) -> NDArray[Any]:
        return weighted(frames, GRAY / DATA_RANGE)


class LumaSsim(_GaussianSsim):
    """``ssim@luma``."""

    whole = "ssim@luma"
    data_range = DATA_RANGE

    def brightness(self, frames: NDArray[Any]) -> NDArray[Any]:
        return weighted(frames, LUMA)


class Errors(_Kernel):
    """Everything that follows from channel sums and products: errors and correlations.

    A frame's three channels are three vectors. Their inner products with the three of another
    frame give its squared error, its correlation, the error of its luma and the correlation of its
    colours, without looking at the pixels again.
    """

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        check_clips(true, predicted)
        n, frames = true.shape[:2]
        collected = []
        for frame in range(frames):
            x, y = _channels(true[:, frame]), _channels(predicted[:, frame])
            cross = y @ x.transpose(0, 2, 1)  # (clip, channel, channel)
            collected.append(self._measures(_Moments(x), _Moments(y), cross, x.shape[2]))
        return self._summary(collected, (n,))

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        check_clips(true, predicted)
        n, m, frames = len(true), len(predicted), true.shape[1]
        collected = []
        for frame in range(frames):
            x, y = _channels(true[:, frame]), _channels(predicted[:, frame])
            samples = x.shape[2]
            cross = y.reshape(3 * m, samples) @ x.reshape(3 * n, samples).T
            # (prediction x channel, clip x channel) -> (prediction, clip, channel, channel)
            cross = cross.reshape(m, 3, n, 3).transpose(0, 2, 1, 3)
            collected.append(
                self._measures(_Moments(x).along(0), _Moments(y).along(1), cross, samples)
            )
        return self._summary(collected, (m, n))

    def _measures(
        self, true: _Moments, predicted: _Moments, cross: Floats, pixels: int
    ) -> dict[str, Floats]:
        """Return each frame's error, luma error, correlation and colour correlation."""
        difference = true.products + predicted.products - cross - np.swapaxes(cross, -1, -2)
        centred = cross - predicted.sums[..., :, None] * true.sums[..., None, :] / pixels
        return {
            "mse": np.maximum(np.einsum("...cc->...", difference), 0) / (3 * pixels),
            "luma": np.maximum(difference @ LUMA @ LUMA, 0) / pixels,
            "r": _correlation(
                np.einsum("...cc->...", cross)
                - predicted.sums.sum(axis=-1) * true.sums.sum(axis=-1) / (3 * pixels),
                true.spread(pixels),
                predicted.spread(pixels),
            ),
            "colour": _correlation(
                _chroma(centred), true.chroma_spread(pixels), predicted.chroma_spread(pixels)
            ),
        }

    def _summary(
        self, frames: list[dict[str, Floats]], shape: tuple[int, ...]
    ) -> dict[str, Floats]:
        values = {
            name: np.stack([np.broadcast_to(frame[name], shape) for frame in frames])
            for name in frames[0]
        }  # (frame, ...)
        with np.errstate(divide="ignore"):
            published = 10 * np.log10(DATA_RANGE**2 / values["mse"])
        published[values["mse"] < 1e-10] = PUBLISHED_CAP
        luma_error = np.maximum(values["luma"].mean(axis=0), ROUNDING)
        found = {
            "psnr": published.mean(axis=0),
            "psnr@luma": 10 * np.log10(DATA_RANGE**2 / luma_error),
            "mse": values["mse"].mean(axis=0) / DATA_RANGE**2,
            "correlation@pixel": values["r"].mean(axis=0),
            "hue@centred": values["colour"].mean(axis=0),
        }
        return {name: found[name] for name in self.names}


class _Moments:
    """Sums and products of the three channels of some clips' frames."""

    def __init__(self, channels: Floats) -> None:
        self.sums = channels.sum(axis=2)  # (clip, channel)
        self.products = channels @ channels.transpose(0, 2, 1)  # (clip, channel, channel)

    def along(self, axis: int) -> _Moments:
        """Return the same with an axis for the clips that these are compared with."""
        found = object.__new__(_Moments)
        found.sums = np.expand_dims(self.sums, axis)
        found.products = np.expand_dims(self.products, axis)
        return found

    def spread(self, pixels: int) -> Floats:
        """Return the sum of squares about the mean of all samples."""
        squares = np.einsum("...cc->...", self.products)
        return _settled(squares - self.sums.sum(axis=-1) ** 2 / (3 * pixels), squares)

    def chroma_spread(self, pixels: int) -> Floats:
        """Return the sum of squares of both colour coordinates about their means."""
        centred = self.products - self.sums[..., :, None] * self.sums[..., None, :] / pixels
        return _settled(_chroma(centred), np.einsum("...cc->...", self.products))


def _channels(frames: NDArray[Any]) -> Floats:
    """Turn frames (clip, height, width, 3) into vectors (clip, 3, pixel)."""
    flat = frames.reshape(len(frames), -1, 3)
    return np.ascontiguousarray(flat.transpose(0, 2, 1), dtype=np.float64)


def _chroma(products: Floats) -> Floats:
    """Turn products of R, G, B into the product of the two colour coordinates.

    These are R - (G + B) / 2 and sqrt(3) / 2 (G - B), the plane in which hue is the angle.
    """
    trace = np.einsum("...cc->...", products)
    return np.asarray(1.5 * trace - 0.5 * products.sum(axis=(-1, -2)))


def _settled(spread: Floats, squares: Floats) -> Floats:
    """Return a spread, 0 where it is no more than the rounding of what it was formed from."""
    return np.where(spread > 1e-12 * np.maximum(squares, 1.0), spread, 0.0)


def _correlation(covariance: Floats, spread: Floats, other: Floats) -> Floats:
    scale = np.broadcast_to(np.sqrt(spread * other), covariance.shape)
    return np.divide(covariance, scale, out=np.zeros(covariance.shape), where=scale > 0)


class PublishedHue(_Kernel):
    """``hue@cosine``."""

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        check_clips(true, predicted)
        total = [
            np.einsum("np,np->n", _hues(predicted[:, f]), _hues(true[:, f]), dtype=np.float64)
            for f in range(true.shape[1])
        ]
        return {"hue@cosine": np.mean(total, axis=0)}

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        check_clips(true, predicted)
        total = [_hues(predicted[:, f]) @ _hues(true[:, f]).T for f in range(true.shape[1])]
        return {"hue@cosine": np.mean(total, axis=0, dtype=np.float64)}


def _hues(frames: NDArray[Any]) -> Floats:
    """Return each frame's hues as a vector of unit length, (clip, pixel); all 0 stay 0."""
    hues = opencv_hue(frames).reshape(len(frames), -1).astype(np.float64)
    length = np.sqrt(np.einsum("np,np->n", hues, hues))[:, None]
    return np.divide(hues, length, out=np.zeros_like(hues), where=length > 0)
