"""SSIM of clips, equal to scikit-image's, for every pair of clips of a set.

All definitions share one arithmetic: local means under a separable window, formed by products with
band matrices, and the ratio of Wang et al. 2004 (doi 10.1109/TIP.2003.819861). They differ in the
images compared, the window, and whether variances are those of a sample; :data:`DEFINITIONS` lists
them by metric.

scikit-image and torchmetrics have SSIM too. This implementation is kept because chance needs the
score of each reconstruction against other clips: the local means and variances of each clip are
computed once, so that another pair costs one more window mean. A single pair is faster than
scikit-image as well (``benchmarks/ssim.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import check_clips
from brainflix.errors import DataError
from brainflix.metrics.base import Note, PairMetric
from brainflix.metrics.colour import GRAY, LUMA, weighted

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Window = tuple[float, ...]

_OUTPUTS = 32  # outputs of one band matrix: enough for a matrix product, few zeros
_SAMPLES = 40_000  # samples of a clip worked on at a time, so that they fit a processor's cache


def _gaussian(sigma: float, radius: int) -> Window:
    """Return the normalised weights of a Gaussian window of 2 x radius + 1 pixels."""
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return tuple((weights / weights.sum()).tolist())


UNIFORM: Window = (1 / 7,) * 7  # scikit-image's default window
COUNTS: Window = (1.0,) * 7  # the same as a sum, which is exact for whole numbers
GAUSSIAN = _gaussian(1.5, 5)  # scikit-image's, whose radius is int(3.5 sigma + 0.5)
SINGLE: Window = (1.0,)  # no neighbours


@dataclass(frozen=True)
class SsimDefinition:
    """One of the definitions of SSIM in use.

    Attributes
    ----------
    images : callable
        Frames (frame, height, width, 3) to the images compared, (frame, channel, height, width).
    data_range : float
        The largest possible difference of two samples.
    down, across : tuple of float
        Weights of the window along the height and along the width; each sums to 1.
    sample_covariance : bool
        Whether variances and covariances are a sample's (divided by n - 1) or a population's.
    """

    images: Callable[[NDArray[Any]], NDArray[Any]]
    data_range: float
    down: Window
    across: Window
    sample_covariance: bool = False

    @property
    def constants(self) -> tuple[float, float]:
        """C1 and C2 of Wang et al., which keep the ratio stable."""
        return (0.01 * self.data_range) ** 2, (0.03 * self.data_range) ** 2

    @property
    def correction(self) -> float:
        """The factor from a population's variance to the variance wanted."""
        samples = len(self.down) * len(self.across)
        return samples / (samples - 1) if self.sample_covariance else 1.0

    def means(self, images: Singles) -> Singles:
        """Return the means of whole windows: (..., height, width), smaller by the window less 1."""
        return _means_across(_means_down(images, self.down), self.across)

    def check_size(self, clips: NDArray[Any]) -> None:
        """Raise :class:`DataError` where frames (..., height, width, 3) do not hold a window."""
        height, width = clips.shape[-3:-1]
        if height < len(self.down) or width < len(self.across):
            raise DataError(
                "frames are smaller than the SSIM window",
                expected=f"at least {len(self.down)} x {len(self.across)} pixels",
                found=(height, width),
            )


def _rgb(frames: NDArray[Any]) -> NDArray[Any]:
    working: Any = np.float32 if frames.dtype == np.uint8 else np.float64
    # (frame, height, width, channel) -> (frame, channel, height, width)
    return np.ascontiguousarray(np.moveaxis(frames, -1, 1), dtype=working)


def _gray(frames: NDArray[Any]) -> NDArray[Any]:
    return weighted(frames, GRAY / 255)[:, None]


def _luma(frames: NDArray[Any]) -> NDArray[Any]:
    return weighted(frames, LUMA)[:, None]


DEFINITIONS = {
    "ssim@rgb": SsimDefinition(_rgb, 255.0, UNIFORM, UNIFORM, sample_covariance=True),
    "ssim@gray": SsimDefinition(_gray, 1.0, GAUSSIAN, GAUSSIAN),
    "ssim@column": SsimDefinition(_gray, 1.0, GAUSSIAN, SINGLE),
    "ssim@luma": SsimDefinition(_luma, 255.0, GAUSSIAN, GAUSSIAN),
}


@lru_cache(maxsize=16)
def _band(outputs: int, window: Window) -> Singles:
    """Return the matrix (outputs + window - 1, outputs) whose columns hold the shifted window."""
    band = np.zeros((outputs + len(window) - 1, outputs), np.float32)
    for k, weight in enumerate(window):
        band[np.arange(outputs) + k, np.arange(outputs)] = weight
    return band


def _means_down(images: Singles, window: Window) -> Singles:
    """Form window means along the height, (..., height, width) -> (..., height - 2 r, width)."""
    reach = len(window) - 1
    height = images.shape[-2] - reach
    means = np.empty((*images.shape[:-2], height, images.shape[-1]), np.float32)
    # a few rows at a time: one band matrix of the whole height would be nearly all zeros
    for k in range(0, height, _OUTPUTS):
        n = min(_OUTPUTS, height - k)
        np.matmul(
            _band(n, window).T, images[..., k : k + n + reach, :], out=means[..., k : k + n, :]
        )
    return means


def _means_across(images: Singles, window: Window) -> Singles:
    """Form window means along the width, (..., height, width) -> (..., height, width - 2 r)."""
    reach = len(window) - 1
    if reach == 0:
        return images
    width = images.shape[-1] - reach
    means = np.empty((*images.shape[:-1], width), np.float32)
    for k in range(0, width, _OUTPUTS):
        n = min(_OUTPUTS, width - k)
        np.matmul(images[..., k : k + n + reach], _band(n, window), out=means[..., k : k + n])
    return means


_COUNT = len(COUNTS) ** 2  # pixels of a uniform window


def _sums(values: Singles) -> NDArray[np.int32]:
    """Return the sums of whole numbers over uniform windows, (..., height, width), exactly."""
    return _means_across(_means_down(values, COUNTS), COUNTS).astype(np.int32)


def _covariance(product: Singles, x: NDArray[np.int32], y: NDArray[np.int32]) -> Singles:
    """Return the sample covariance in each window, from the product and the windows' sums."""
    scaled = _sums(product)
    scaled *= _COUNT
    scaled -= x * y
    found = scaled.astype(np.float32)
    found /= np.float32(_COUNT * (_COUNT - 1))
    return found


class LocalMoments:
    """Local means and variances of some images, for SSIM with many others.

    Parameters
    ----------
    images : ndarray of float32 or float64, shape (frame, channel, height, width)
    definition : SsimDefinition
    whole : bool
        Whether all samples are whole numbers from 0 to 255.
    """

    def __init__(
        self, images: NDArray[Any], definition: SsimDefinition, *, whole: bool = False
    ) -> None:
        # Values are centred on their overall mean, which changes no variance: single precision
        # then loses little where a small variance lies on a high level.
        centre = images.dtype.type(images.mean(dtype=np.float64))
        c1, c2 = definition.constants
        self.sums: NDArray[np.int32] | None = None
        if whole and definition.down == UNIFORM:
            # Of bytes, centred on a whole number, a sum over a window is below 2^24 and so exact in
            # single precision, and 49 times it below 2^31: differences are formed of whole numbers.
            # In flat regions a rounding error would be the same in every window.
            centre = np.round(centre)
            self.values: Singles = images - centre
            self.sums = _sums(self.values)
            self.mean = self.sums.astype(np.float32)
            self.mean /= np.float32(_COUNT)
            self.level = self.mean + centre
            self.spread = _covariance(self.values * self.values, self.sums, self.sums)
            self.spread += np.float32(c2 / 2)
        else:
            self.values = np.subtract(images, centre).astype(np.float32, copy=False)
            self.mean = definition.means(self.values)  # about the centre
            self.level = self.mean + np.float32(centre)
            self.spread = definition.means(self.values * self.values)
            self.spread -= self.mean * self.mean
            self.spread *= np.float32(definition.correction)
            self.spread += np.float32(c2 / 2)
        # half the denominator's terms, so that two clips' add up: var + C2 / 2, mean^2 + C1 / 2
        self.squared_level = self.level * self.level
        self.squared_level += np.float32(c1 / 2)

    def ssim(self, other: LocalMoments, definition: SsimDefinition) -> float:
        """Return the sum of SSIM over all windows of all images."""
        c1, c2 = definition.constants
        # contrast and structure: 2 cov(x, y) + C2
        if self.sums is not None and other.sums is not None:
            numerator = _covariance(self.values * other.values, self.sums, other.sums)
            numerator *= np.float32(2)
            numerator += np.float32(c2)
            scratch = np.empty_like(numerator)
        else:
            numerator = definition.means(self.values * other.values)
            scratch = self.mean * other.mean
            numerator -= scratch
            numerator *= np.float32(2 * definition.correction)
            numerator += np.float32(c2)
        # luminance: 2 mean(x) mean(y) + C1
        np.multiply(self.level, other.level, out=scratch)
        scratch *= np.float32(2)
        scratch += np.float32(c1)
        numerator *= scratch
        # over their bounds: var(x) + var(y) + C2, and mean(x)^2 + mean(y)^2 + C1
        np.add(self.spread, other.spread, out=scratch)
        numerator /= scratch
        np.add(self.squared_level, other.squared_level, out=scratch)
        numerator /= scratch
        return float(numerator.sum(dtype=np.float64))


def _pieces(shape: tuple[int, ...], definition: SsimDefinition) -> Iterator[tuple[slice, slice]]:
    """Yield the frames and the rows of pieces of a clip that together hold every window once.

    Parameters
    ----------
    shape : tuple of int
        (frame, height, width, channel); small frames are worked on several at a time, and of large
        ones a strip of rows.
    definition : SsimDefinition
    """
    frames, height, width, channels = shape
    reach = len(definition.down) - 1
    positions = height - reach
    row = width * channels
    strips = -(-positions // max(len(definition.down), _SAMPLES // row))
    rows = -(-positions // strips)  # of equal height, but for the last
    together = max(1, _SAMPLES // (row * height))
    for frame in range(0, frames, together):
        for start in range(0, positions, rows):
            end = min(start + rows, positions) + reach  # strips overlap by the window less 1
            yield slice(frame, frame + together), slice(start, end)


def ssim_pairs(true: NDArray[Any], predicted: NDArray[Any], definition: SsimDefinition) -> Floats:
    """Return SSIM of every prediction with every true clip.

    Parameters
    ----------
    true, predicted : ndarray of uint8 or float, shape (clip, frame, height, width, 3)
        RGB on the scale 0 to 255; n true and m predicted clips.
    definition : SsimDefinition

    Returns
    -------
    ndarray of float64, shape (m, n)
        -1 to 1, 1 for identical clips: the mean over windows, channels and frames.
    """
    check_clips(true, predicted)
    definition.check_size(true)
    total, windows = np.zeros((len(predicted), len(true))), 0
    channels = definition.images(true[0, :1, :1, :1]).shape[1]
    whole = true.dtype == predicted.dtype == np.uint8
    for piece in _pieces((*true.shape[1:4], channels), definition):
        # what can be computed of each clip on its own, once
        x, y = (
            [
                LocalMoments(definition.images(clip[piece]), definition, whole=whole)
                for clip in clips
            ]
            for clips in (true, predicted)
        )
        # one more window mean, of the products, for each pair
        for i, j in np.ndindex(total.shape):
            total[i, j] += y[i].ssim(x[j], definition)
        windows += x[0].mean.size
    return total / windows


def ssim(true: NDArray[Any], predicted: NDArray[Any], definition: SsimDefinition) -> Floats:
    """Return SSIM of each prediction with its own clip, (clip,); see :func:`ssim_pairs`."""
    check_clips(true, predicted)
    pairs = zip(true, predicted, strict=True)
    return np.array([ssim_pairs(x[None], y[None], definition)[0, 0] for x, y in pairs])


class SsimKernel:
    """SSIM by any of its definitions."""

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names

    def own(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return SSIM of prediction i with clip i, (clip,), by metric."""
        return {name: ssim(true, predicted, DEFINITIONS[name]) for name in self.names}

    def every(self, true: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Floats]:
        """Return SSIM of every prediction with every clip, (prediction, clip), by metric."""
        return {name: ssim_pairs(true, predicted, DEFINITIONS[name]) for name in self.names}


_NOT_SEEN = (
    "What is seen. Smooth images score well: a flat grey clip or the mean of the training clips "
    "can beat recognisable reconstructions, so compare it with these two. Motion does not enter."
)


class SsimRgb(PairMetric):
    """SSIM by scikit-image's defaults, of each frame, then the mean over frames."""

    name, kernel = "ssim@rgb", SsimKernel

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "SSIM",
            shows="Local brightness, contrast and structure in 7 x 7 windows of each RGB channel, "
            "frame by frame, averaged over frames (scikit-image's defaults, data range 255). So "
            "computed by MinD-Video, Mind-Animator and Brain Netflix.",
            hides=_NOT_SEEN,
        )


class SsimGray(PairMetric):
    """SSIM of grey frames with Gaussian windows (sigma 1.5) and population covariance."""

    name, kernel = "ssim@gray", SsimKernel

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "SSIM, grey",
            shows="Local brightness, contrast and structure of grey frames (scikit-image's "
            "rgb2gray, 0 to 1) in Gaussian windows of sigma 1.5, population covariance: the call "
            "made by much work on images from fMRI.",
            hides="All colour. " + _NOT_SEEN,
            short="SSIM grey",
        )


class SsimColumn(PairMetric):
    """The grey SSIM called with channel_axis=-1 on a picture without channels: column by column."""

    name, kernel = "ssim@column", SsimKernel

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "SSIM, by pixel columns",
            shows="The grey SSIM, called with channel_axis=-1 on a picture that has no channels, "
            "as in NEURONS: every column of pixels is taken for a channel and compared along its "
            "height alone. Reported so that published values can be compared.",
            hides="Everything across the width of a frame. Values lie far above those of the "
            "two-dimensional SSIM, for no other reason. " + _NOT_SEEN,
            short="SSIM columns",
        )


class SsimLuma(PairMetric):
    """SSIM as Wang et al. defined it: luma, Gaussian windows of 11 x 11."""

    name, kernel = "ssim@luma", SsimKernel

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "SSIM of luma",
            shows="SSIM as first defined (Wang et al. 2004): BT.601 luma, 0 to 255, 11 x 11 "
            "Gaussian windows of sigma 1.5 inside the frame, mean over frames.",
            hides="Colour. " + _NOT_SEEN,
            short="SSIM luma",
        )
