"""Metrics of pixels: SSIM in its definitions, squared error, correlation, hue, identification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.evaluation import kernels
from brainflix.evaluation.chance import Scores
from brainflix.evaluation.clips import Clips, Feature, Frames, shrink
from brainflix.evaluation.identification import identified
from brainflix.evaluation.metric import METRICS, Metric, Note, NWayIdentification, PairMetric
from brainflix.evaluation.pixels import pixel_correlation_pairs

SMALL = 64  # pixels of the longer side, to which clips are averaged where all pairs are compared
_NOT_SEEN = (
    "What is seen. Smooth images score well: a flat grey clip or the mean of the training clips "
    "can beat recognisable reconstructions, so read it beside these two. Motion does not enter."
)


def small(frames: NDArray[Any]) -> Frames:
    """Return clips averaged to at most SMALL pixels a side, the ratio kept; uint8."""
    return shrink(frames, SMALL)


@METRICS.register("ssim@rgb")
class SsimRgb(PairMetric):
    """SSIM by scikit-image's defaults, a frame, then the mean over frames."""

    name, kernel = "ssim@rgb", kernels.UniformSsim

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "SSIM",
            shows="Local brightness, contrast and structure in 7 x 7 windows of each RGB channel, "
            "a frame at a time, averaged over frames (scikit-image's defaults, data range 255). So "
            "computed by MinD-Video, Mind-Animator and Brain Netflix.",
            hides=_NOT_SEEN,
        )


@METRICS.register("ssim@gray")
class SsimGray(PairMetric):
    """SSIM of grey frames with Gaussian windows (sigma 1.5) and population covariance."""

    name, kernel = "ssim@gray", kernels.GraySsim

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


@METRICS.register("ssim@column")
class SsimColumn(PairMetric):
    """The grey SSIM called with channel_axis=-1 on a picture without channels: a column each."""

    name, kernel = "ssim@column", kernels.GraySsim

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


@METRICS.register("ssim@luma")
class SsimLuma(PairMetric):
    """SSIM as Wang et al. defined it: luma, Gaussian windows of 11 x 11."""

    name, kernel = "ssim@luma", kernels.LumaSsim

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "SSIM of luma",
            shows="SSIM as first defined (Wang et al. 2004): BT.601 luma, 0 to 255, 11 x 11 "
            "Gaussian windows of sigma 1.5 inside the frame, mean over frames.",
            hides="Colour. " + _NOT_SEEN,
            short="SSIM luma",
        )


@METRICS.register("psnr")
class Psnr(PairMetric):
    """Peak signal-to-noise ratio, data range 255, the mean over frames."""

    name, kernel = "psnr", kernels.Errors

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

    name, kernel = "psnr@luma", kernels.Errors

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

    name, kernel, lower = "mse", kernels.Errors, True

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

    name, kernel = "correlation@pixel", kernels.Errors

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

    name, kernel = "hue@cosine", kernels.PublishedHue

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

    name, kernel = "hue@centred", kernels.Errors

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


class _SmallPixels(Metric):
    def features(self) -> Mapping[str, Feature]:
        return {"small": small}

    def similarity(self, true: Clips, predicted: Clips) -> NDArray[np.float64]:
        """Return the correlation of all pixels of every pair of clips."""
        return pixel_correlation_pairs(
            true.feature("small", small), predicted.feature("small", small)
        )


@METRICS.register("nway-identification@pixel")
class NWayPixelIdentification(_SmallPixels, NWayIdentification):
    """Identification among n clips by the correlation of their pixels, in closed form."""

    space, words = "pixel", "pixels"
    blind = "What is seen, wherever the layout alone tells the clips apart."


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
