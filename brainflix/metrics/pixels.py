"""Metrics of pixels: SSIM in its definitions, squared error, correlation, hue, identification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import Clips, Feature, Frames, check_clips, shrink
from brainflix.metrics.base import METRICS, Metric, Note, NWayIdentification, PairMetric
from brainflix.metrics.colour import LUMA, opencv_hue
from brainflix.metrics.identification import identified
from brainflix.statistics.chance import Scores

Floats = NDArray[np.float64]


Floats = NDArray[np.float64]


_BLOCK_BYTES = 64 * 2**20


SMALL = 64  # pixels of the longer side, to which clips are averaged where all pairs are compared


_NOT_SEEN = (
    "What is seen. Smooth images score well: a flat grey clip or the mean of the training clips "
    "can beat recognisable reconstructions, so read it beside these two. Motion does not enter."
)


DATA_RANGE = 255.0


PUBLISHED_CAP = 100.0  # dB that the published code gives to a frame without error


ROUNDING = 1 / 12  # squared grey levels: the mean squared error of rounding to whole levels


_SAMPLES = 65_536  # pixels of one clip worked on at a time


def cross_products(true: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """Return the inner product of every prediction with every true clip, a frame.

    Parameters
    ----------
    true, predicted : ndarray of uint8 or float, shape (clip, frame, height, width, 3)

    Returns
    -------
    ndarray of float64, shape (frame, prediction, true clip)
        Exact for uint8: every partial sum is an integer below 2^53.
    """
    frames = true.shape[1]
    products = np.zeros((frames, len(predicted), len(true)))
    width = int(np.prod(true.shape[2:]))
    step = max(1, _BLOCK_BYTES // (8 * max(len(true), len(predicted))))
    for frame in range(frames):
        flat_true = true[:, frame].reshape(len(true), width)
        flat_predicted = predicted[:, frame].reshape(len(predicted), width)
        for start in range(0, width, step):
            part = slice(start, start + step)
            products[frame] += (
                flat_predicted[:, part].astype(np.float64) @ flat_true[:, part].astype(np.float64).T
            )
    return products


def _frame_moments(clips: NDArray[Any]) -> tuple[Floats, Floats]:
    """Return the sum and the sum of squares of each frame's pixels, each (clip, frame)."""
    axes = (1, 2, 3)
    sums = np.stack([clip.sum(axis=axes, dtype=np.float64) for clip in clips])
    squares = np.stack([np.square(clip, dtype=np.float64).sum(axis=axes) for clip in clips])
    return sums, squares


def pixel_correlation_pairs(true: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """Return Pearson's r over all pixels, channels and frames of every prediction and true clip.

    A clip of one grey level everywhere correlates with nothing: its r is set to 0.

    Returns
    -------
    ndarray of float64, shape (prediction, true clip)
    """
    check_clips(true, predicted)
    samples = float(np.prod(true.shape[1:]))
    sum_true, squares_true = (part.sum(axis=1) for part in _frame_moments(true))
    sum_predicted, squares_predicted = (part.sum(axis=1) for part in _frame_moments(predicted))
    covariance = cross_products(true, predicted).sum(axis=0) - np.outer(
        sum_predicted, sum_true / samples
    )
    scale = np.sqrt(
        np.outer(
            np.maximum(squares_predicted - sum_predicted**2 / samples, 0.0),
            np.maximum(squares_true - sum_true**2 / samples, 0.0),
        )
    )
    return np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)


def small(frames: NDArray[Any]) -> Frames:
    """Return clips averaged to at most SMALL pixels a side, the ratio kept; uint8."""
    return shrink(frames, SMALL)


class _SmallPixels(Metric):
    def features(self) -> Mapping[str, Feature]:
        return {"small": small}

    def similarity(self, true: Clips, predicted: Clips) -> NDArray[np.float64]:
        """Return the correlation of all pixels of every pair of clips."""
        return pixel_correlation_pairs(
            true.feature("small", small), predicted.feature("small", small)
        )


@METRICS.register("identification@pixel")
class PixelIdentification(_SmallPixels):
    """Pairwise identification by the correlation of all pixels of a clip."""

    def score(self, true: Clips, predicted: Clips, *, pairs: bool) -> dict[str, Scores]:
        return {"identification@pixel": identified(self.similarity(true, predicted), pairs)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Identification by pixels",
            shows="How often a reconstruction's pixels correlate better with the clip that was "
            "shown than with another test clip: layout, brightness and colour in place and time. "
            f"Frames above {SMALL} pixels a side are averaged down to that first.",
            hides="What is seen, wherever the layout alone tells the clips apart, such as a dark "
            "scene among bright ones.",
            short="pixel identification",
        )


class _Kernel:
    def __init__(self, names: frozenset[str]) -> None:
        self.names = names


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


@METRICS.register("psnr")
class Psnr(PairMetric):
    """Peak signal-to-noise ratio, data range 255, the mean over frames."""

    name, kernel = "psnr", Errors

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "PSNR",
            shows="Squared error of the RGB samples on a logarithmic scale, a frame at a time, "
            "then the mean over frames: right colours in the right places. A frame without error "
            "counts 100 dB, as in Mind-Animator's code; scikit-image says infinity.",
            hides="What is seen. An average of everything is nearer to any clip than a sharp "
            "picture of the right thing a few pixels off, so the mean training clip is a strong "
            "rival.",
            unit="dB",
        )


@METRICS.register("psnr@luma")
class PsnrLuma(PairMetric):
    """PSNR of luma from the squared error of the whole clip."""

    name, kernel = "psnr@luma", Errors

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


@METRICS.register("mse")
class Mse(PairMetric):
    """Mean squared error of samples scaled to 0-1."""

    name, kernel, lower = "mse", Errors, True

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


@METRICS.register("correlation@pixel")
class PixelCorrelation(PairMetric):
    """Pearson's r of all samples of a frame, the mean over frames."""

    name, kernel = "correlation@pixel", Errors

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


@METRICS.register("hue@cosine")
class HueCosine(PairMetric):
    """The published "Hue-pcc": an uncentred cosine of OpenCV's hue numbers."""

    name, kernel = "hue@cosine", PublishedHue

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


@METRICS.register("hue@centred")
class HueCentred(PairMetric):
    """Correlation of colours in the plane whose angle is hue, each frame about its mean."""

    name, kernel = "hue@centred", Errors

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


@METRICS.register("nway-identification@pixel")
class NWayPixelIdentification(_SmallPixels, NWayIdentification):
    """Identification among n clips by the correlation of their pixels, in closed form."""

    space, words = "pixel", "pixels"
    blind = "What is seen, wherever the layout alone tells the clips apart."
