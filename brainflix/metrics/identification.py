"""Identification: is a prediction nearer to its own clip than to the others?

Pairwise or among n clips, in closed form, in four spaces: pixels, CLIP embeddings, a VAE's latents
and motion energy.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import Feature, Frames, VideoClips, check_clips, shrink
from brainflix.errors import DataError
from brainflix.metrics.base import Metric, Note
from brainflix.metrics.image_embedding import EmbeddingMetric
from brainflix.metrics.motion_energy import MotionEnergyMetric
from brainflix.metrics.nway_classification import success_table
from brainflix.metrics.similarity import correlation_pairs
from brainflix.statistics.chance import Scores, of_matrix

Floats = NDArray[np.float64]
SMALL = 64  # pixels of the longer side, to which clips are averaged where all pairs are compared
_BLOCK_BYTES = 64 * 2**20  # of pixels in double precision, held at a time


def identification_pairs(similarity: NDArray[Any]) -> Floats:
    """Score every prediction as an identification of every clip.

    Parameters
    ----------
    similarity : ndarray, shape (m, n)
        Row i holds the similarity of prediction i to each of n clips.

    Returns
    -------
    ndarray of float64, shape (m, n)
        Entry (i, j): the fraction of the clips other than j that are less similar to prediction i
        than clip j is; a tie counts half. The mean of a row is 0.5, and so is chance.
    """
    if similarity.ndim != 2 or similarity.shape[1] < 2:
        raise DataError(
            "identification needs at least two clips to choose from",
            expected="(prediction, clip)",
            found=similarity.shape,
        )
    from scipy.stats import rankdata

    ranks = rankdata(similarity, method="average", axis=1)  # 1 for the least similar
    return np.asarray((ranks - 1) / (similarity.shape[1] - 1))


def identification(similarity: NDArray[Any], own: NDArray[np.int64] | None = None) -> Floats:
    """Return each prediction's pairwise identification of its own clip; chance 0.5.

    Parameters
    ----------
    similarity : ndarray, shape (m, n)
        Row i holds the similarity of prediction i to each of n clips.
    own : ndarray of int, shape (m,), optional
        The column of each prediction's own clip; by default i, with m = n.
    """
    if own is None and similarity.shape[0] != similarity.shape[-1]:
        raise DataError(
            "it is unclear which clip is whose",
            expected="a square matrix, or `own`",
            found=similarity.shape,
        )
    rows = np.arange(len(similarity))
    return identification_pairs(similarity)[rows, rows if own is None else own]


def identification_matrix(similarity: NDArray[Any], ways: int) -> Floats:
    """Return the probability that a prediction is nearest clip j among j and n - 1 others.

    Parameters
    ----------
    similarity : ndarray, shape (prediction, clip)
    ways : int
        n.

    Returns
    -------
    ndarray of float64, shape (prediction, clip)
        Ties are broken at random. The mean of a row is 1 / n, and so is chance.
    """
    from scipy.stats import rankdata

    # clip j is preceded by first to last - 1 others, by how ties with it are broken
    first = rankdata(-similarity, method="min", axis=1).astype(np.int64) - 1
    last = rankdata(-similarity, method="max", axis=1).astype(np.int64)
    # the mean of the probabilities over these places, from their running sum
    table = np.concatenate([[0.0], np.cumsum(success_table(similarity.shape[1] - 1, ways))])
    return np.asarray((table[last] - table[first]) / (last - first))


class PairwiseIdentification(Metric):
    """Identification of the true clip against one other; the subclass defines the space."""

    space: ClassVar[str]

    @abstractmethod
    def similarity(self, true: VideoClips, predicted: VideoClips) -> Floats:
        """Return how alike every prediction and every clip are, (prediction, clip)."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        similarity = self.similarity(true, predicted)
        matrix = identification_pairs(similarity)
        nearest = len(np.unique(similarity.argmax(axis=1)))  # few where the set has collapsed
        return {f"identification@{self.space}": of_matrix(matrix, pairs, distinct_nearest=nearest)}


class NWayIdentification(Metric):
    """Identification of the true clip among n, in closed form; the subclass defines the space."""

    space: ClassVar[str]
    words: ClassVar[str]  # what of a reconstruction is compared
    blind: ClassVar[str]  # what that does not see

    @abstractmethod
    def similarity(self, true: VideoClips, predicted: VideoClips) -> Floats:
        """Return how alike every prediction and every clip are, (prediction, clip)."""

    def score(self, true: VideoClips, predicted: VideoClips, *, pairs: bool) -> dict[str, Scores]:
        matrix = identification_matrix(self.similarity(true, predicted), self.ways)
        name = f"{self.ways}way-identification@{self.space}"
        return {name: of_matrix(matrix, pairs, ways=self.ways)}

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            f"{cls.ways}-way identification by {cls.words}",
            shows=f"How often a reconstruction's {cls.words} is more like that of the clip that "
            f"was shown than those of {cls.ways - 1} other test clips, all at once: the mean over "
            f"all ways to draw these, in closed form. Chance is 1 in {cls.ways}.",
            hides="How far apart the test clips are: values of different sets of clips cannot be "
            f"compared. {cls.blind}",
            short=f"{cls.ways}-way {cls.space}",
        )


class _PixelSpace(Metric):
    space: ClassVar[str] = "pixel"

    def features(self) -> Mapping[str, Feature]:
        return {"small": small}

    def similarity(self, true: VideoClips, predicted: VideoClips) -> Floats:
        """Return the correlation of all pixels of every pair of clips."""
        return pixel_correlation_pairs(
            true.feature("small", small), predicted.feature("small", small)
        )


class _ClipSpace(EmbeddingMetric):
    space: ClassVar[str] = "clip"

    def similarity(self, true: VideoClips, predicted: VideoClips) -> Floats:
        """Return the cosine of the CLIP embeddings of every pair of clips."""
        return self.clip_similarity(true, predicted)


class _LatentSpace(Metric):
    space: ClassVar[str] = "latent"

    def similarity(self, true: VideoClips, predicted: VideoClips) -> Floats:
        """Return the correlation of a VAE's latents of every pair of clips."""
        encode = self.models.require("latents")
        x, y = (clips.seen("latents", encode) for clips in (true, predicted))
        return correlation_pairs(y, x)


class _MotionSpace(MotionEnergyMetric):
    space: ClassVar[str] = "motion"

    def similarity(self, true: VideoClips, predicted: VideoClips) -> Floats:
        """Return the correlation of motion energies of every pair of clips."""
        return self.energy_similarity(true, predicted)


def small(frames: NDArray[Any]) -> Frames:
    """Return clips averaged to at most SMALL pixels on the longer side, ratio kept; uint8."""
    return shrink(frames, SMALL)


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
    # sums of products about the means, from sums that are exact for bytes
    covariance = cross_products(true, predicted).sum(axis=0) - np.outer(
        sum_predicted, sum_true / samples
    )
    # maxima with 0, because rounding may leave a constant clip a tiny negative spread
    scale = np.sqrt(
        np.outer(
            np.maximum(squares_predicted - sum_predicted**2 / samples, 0.0),
            np.maximum(squares_true - sum_true**2 / samples, 0.0),
        )
    )
    return np.divide(covariance, scale, out=np.zeros_like(covariance), where=scale > 0)


def cross_products(true: NDArray[Any], predicted: NDArray[Any]) -> Floats:
    """Return the inner product of every prediction with every true clip, frame by frame.

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
        for start in range(0, width, step):  # converted to double a block of pixels at a time
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


class PixelIdentification(_PixelSpace, PairwiseIdentification):
    """Pairwise identification by the correlation of all pixels of a clip."""

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


class NWayPixelIdentification(_PixelSpace, NWayIdentification):
    """Identification among n clips by the correlation of their pixels, in closed form."""

    words = "pixels"
    blind = "What is seen, wherever the layout alone tells the clips apart."


class ClipIdentification(_ClipSpace, PairwiseIdentification):
    """Pairwise identification by the cosine of CLIP image embeddings."""

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Identification in CLIP space",
            shows="How often a reconstruction's CLIP embedding is nearer to the clip that was "
            "shown than to another test clip, over all other test clips. A guess, a constant and "
            "a grey frame all score 0.5.",
            hides="How far apart the test clips are: it is easy with clips that differ in kind "
            "and hard with clips that look alike. CLIP sees frames, and little of motion.",
            short="CLIP identification",
        )


class NWayClipIdentification(_ClipSpace, NWayIdentification):
    """Identification among n clips by CLIP, in closed form."""

    words = "CLIP embedding"
    blind = "CLIP sees frames, and little of motion."


class LatentIdentification(_LatentSpace, PairwiseIdentification):
    """Pairwise identification by the correlation of a VAE's latents."""

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Identification in latent space",
            shows="How often a reconstruction's latents correlate better with those of the clip "
            "that was shown than with another test clip's: what the generator's VAE keeps of "
            "layout, colour and texture.",
            hides="What is seen, wherever the layout alone tells the clips apart. It favours "
            "systems that were trained on the latents of this VAE.",
            short="latent identification",
        )


class NWayLatentIdentification(_LatentSpace, NWayIdentification):
    """Identification among n clips by a VAE's latents, in closed form."""

    words = "latents"
    blind = "What is seen, wherever the layout alone tells the clips apart."


class MotionIdentification(_MotionSpace, PairwiseIdentification):
    """Pairwise identification by motion energy."""

    @classmethod
    def note(cls, name: str) -> Note:
        return Note(
            "Identification by motion energy",
            shows="How often a reconstruction's motion energy is more like that of the clip that "
            "was shown than that of another test clip. A constant scores 0.5.",
            hides="What is seen, and colour. A static layout tells clips apart as well.",
            short="motion identification",
        )


class NWayMotionIdentification(_MotionSpace, NWayIdentification):
    """Identification among n clips by motion energy, in closed form."""

    words = "motion energy"
    blind = "A static layout tells clips apart as well."
