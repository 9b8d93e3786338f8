"""An encoding model for each subject, from features of the clip to voxels, and its inversion.

A response y of a subject (standardised) to a clip with features f is modelled as
y = W (f - c) + e, with c the mean of the features that the subject's trials show and e normal with
covariance S. With a normal prior N(m, C) over features, learnt from the clips of all people, the
features are decoded as the posterior mean given y, the average of n repeats (Naselaris et al. 2009,
doi 10.1016/j.neuron.2009.09.006; Bishop 2006, section 2.3.3):

    m + C (I + n M C)^-1 n G (y - W (m - c)),    G = W' S^-1,    M = W' S^-1 W.

Ridge regression from voxels to features estimates the same linear map, but has to learn how the
features co-vary and how the noise co-varies from one person's trials together; here the first comes
from everybody's clips.

W is a ridge estimate. S is estimated from the residuals, scaled up to the size that they have for
new trials, so that it holds what the features miss and what W gets wrong as well as noise, and is
shrunk towards its diagonal. Penalty and shrinkage are those that decode left-out trials best.
Everything is computed over features and over the smaller of trials and voxels: a matrix of voxels
by voxels appears only where there are fewer voxels than trials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.responses import average_repeats
from brainflix.artifacts.stimuli import Array, Labels
from brainflix.errors import DataError
from brainflix.learning.clip_features import Double, FeaturePrior
from brainflix.learning.folds import group_folds
from brainflix.learning.ridge import Standardization
from brainflix.learning.voxel_regression import ResidualProducts, VoxelRegression


@dataclass(frozen=True)
class EncodingOptions:
    """How an encoding model is fitted.

    Parameters
    ----------
    penalties : tuple of float
        Ridge penalties tried, as multiples of a feature's sum of squares over the trials, on
        average over features: the same multiples suit any number of trials and scale of features.
        (Left-out responses would choose larger ones, which are right for most voxels but lose the
        directions of little noise that decoding lives on.)
    shrinkages : tuple of float
        Shares of the diagonal in the residual covariance that are tried, above 0 and at most 1;
        (Analytic estimates suppose independent trials; neighbouring ones are not.) Of both, those
        are kept whose decoded left-out trials, averaged over repeats, point best.
    folds : int
        Cross-validation folds, made of clip groups.
    """

    penalties: tuple[float, ...] = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    shrinkages: tuple[float, ...] = (0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 0.95)
    folds: int = 10


@dataclass(frozen=True)
class EncodingModel:
    """A subject's fitted model, ready to decode.

    Parameters
    ----------
    statistics : Standardization
        Of the subject's training responses.
    centre : ndarray of float64, shape (component,)
        Mean features of the trials it was fitted on.
    weights : ndarray of float32, shape (component, voxel)
        W', from features to standardised responses.
    filters : ndarray of float32, shape (component, voxel)
        G = W' S^-1.
    information : ndarray of float64, shape (component, component)
        M = W' S^-1 W: what one trial says about the features.
    prior : FeaturePrior
    persistence : float
        Share of the residual that repeats of a clip have in common, 0 to 1: averaging does not
        reduce it.
    """

    statistics: Standardization
    centre: Double
    weights: Array
    filters: Array
    information: Double
    prior: FeaturePrior
    persistence: float = 0.0

    def encode(self, features: Double) -> Array:
        """Predict standardised responses (row, voxel) from features (row, component)."""
        return (features - self.centre).astype(np.float32) @ self.weights

    def affine(self, repeats: float = 1.0) -> tuple[Array, Array]:
        """Return the posterior mean as an affine map of standardised responses.

        Parameters
        ----------
        repeats : float
            How many repeats a response averages.

        Returns
        -------
        weights : ndarray of float32, shape (voxel, component)
        bias : ndarray of float32, shape (component,)
        """
        gain = self._gain(repeats)
        offset = self.information @ (self.prior.mean - self.centre)
        bias = self.prior.mean - gain @ offset
        return (self.filters.T @ gain.T).astype(np.float32), bias.astype(np.float32)

    def covariance(self, repeats: float = 1.0) -> Double:
        """Return the posterior covariance of the features, (component, component)."""
        prior = self.prior.covariance
        posterior = prior - self._gain(repeats) @ self.information @ prior
        return 0.5 * (posterior + posterior.T)

    def decode(self, responses: Array, repeats: int | NDArray[np.int64] = 1) -> Double:
        """Return the posterior mean of the features.

        Parameters
        ----------
        responses : ndarray of float32, shape (row, voxel)
            Raw responses, each of a trial or the average of a clip's repeats.
        repeats : int or ndarray of int64, shape (row,)
            How many repeats each row averages.

        Returns
        -------
        ndarray of float64, shape (row, component)
        """
        # (row, voxel) -> (row, component)
        evidence = (self.statistics.apply(responses) @ self.filters.T).astype(np.float64)
        evidence -= self.information @ (self.prior.mean - self.centre)
        count = np.broadcast_to(np.asarray(repeats), (len(responses),))
        decoded = np.empty(evidence.shape)
        for n in np.unique(count):
            decoded[count == n] = evidence[count == n] @ self._gain(float(n)).T
        return np.asarray(decoded + self.prior.mean)

    def _gain(self, repeats: float) -> Double:
        """Return C (I + n M C)^-1 n, (component, component), n the effective repeats."""
        if repeats < 1:
            raise DataError("repeats of a response", expected="at least 1", found=repeats)
        n = repeats / (1 + (repeats - 1) * self.persistence)
        prior = self.prior.covariance
        inner = np.eye(len(prior)) + n * self.information @ prior
        gain: Double = np.asarray(np.linalg.solve(inner.T, n * prior).T, dtype=np.float64)
        return gain


@dataclass(frozen=True)
class EncodingHead:
    """A subject's model with what it says about the trials it was fitted on.

    Parameters
    ----------
    model : EncodingModel
        Fitted to all rows.
    heldout : ndarray of float32, shape (row, component)
        Posterior mean features of each row, by the model of the other folds.
    penalty, shrinkage : float
        As chosen from the options.
    """

    model: EncodingModel
    heldout: Array
    penalty: float
    shrinkage: float

    def placed(self, lift: Double) -> tuple[Array, Array, Array]:
        """Return the head as a linear layer into a shared space, for single trials.

        Parameters
        ----------
        lift : ndarray of float64, shape (component, dim)
            See :func:`brainflix.learning.clip_features.feature_lift`.

        Returns
        -------
        weights : ndarray of float32, shape (voxel, dim)
            Of standardised responses.
        bias : ndarray of float32, shape (dim,)
        heldout : ndarray of float32, shape (row, dim)
            Left-out outputs of the rows the head was fitted on.
        """
        weights, bias = self.model.affine()
        parts = (weights @ lift, bias @ lift, self.heldout @ lift)
        placed, offset, heldout = (part.astype(np.float32) for part in parts)
        return placed, offset, heldout


def fit_encoding_head(
    responses: Array,
    features: Double,
    clip: Labels,
    group: Labels,
    prior: FeaturePrior,
    options: EncodingOptions,
    seed: int,
) -> EncodingHead:
    """Fit one subject's encoding model and decode its own rows by cross-fitting.

    Parameters
    ----------
    responses : ndarray of float32, shape (row, voxel)
        Raw responses of the training trials.
    features : ndarray of float64, shape (row, component)
        Of each row's clip.
    clip, group : ndarray of str, shape (row,)
        Each row's clip, and the group of clips it belongs to.
    prior : FeaturePrior
        From the training clips of all people.
    options : EncodingOptions
    seed : int
        Of the folds.

    Raises
    ------
    DataError
        With fewer than two groups, or responses or features that do not vary.
    """
    statistics = Standardization.of(responses)
    rows = statistics.apply(responses)
    centre = features.mean(axis=0)
    for name, values in (("responses", rows), ("features", features - centre)):
        if not np.any(values):
            raise DataError(
                f"{name} do not vary", expected="variance", found=f"{values.shape} zeros"
            )
    folds: NDArray[np.int64] = group_folds(group, options.folds, seed)
    regression = VoxelRegression.of(rows, features - centre)
    unit = float(np.square(regression.features[:, :-1]).sum() / features.shape[1])
    penalties, shrinkages = sorted(options.penalties), sorted(options.shrinkages)
    products = ResidualProducts.of(regression, penalties[len(penalties) // 2] * unit)
    true = average_repeats(features - prior.mean, clip)[0]

    def decode(penalty: float, shrinkage: float) -> tuple[Double, Double]:
        return _decode_folds(products, penalty * unit, shrinkage, folds, prior, centre)

    def likeness(penalty: float, shrinkage: float) -> float:
        heldout, _ = decode(penalty, shrinkage)
        return _cosine(average_repeats(heldout - prior.mean, clip)[0], true)

    # The two matter almost independently: one is sought at a middle value of the other.
    middle = shrinkages[len(shrinkages) // 2]
    penalty = _climb(penalties, lambda value: likeness(value, middle))
    shrinkage = _climb(shrinkages, lambda value: likeness(penalty, value))
    decoded, errors = decode(penalty, shrinkage)
    everything = np.ones(len(rows), dtype=bool)
    # The intercept of all rows is 0: responses and features are centred.
    fitted = products.filters(penalty * unit, shrinkage, everything)
    unshared = _model(fitted, statistics, centre, prior)
    model = replace(unshared, persistence=_persistence(errors, clip))
    return EncodingHead(model, decoded.astype(np.float32), penalty, shrinkage)


def _climb(candidates: Sequence[float], score: Callable[[float], float]) -> float:
    """Return the candidate of the highest score, going up from the middle.

    Scores are taken to have one maximum over the ordered candidates, so that few are computed.
    """
    scores: dict[int, float] = {}

    def at(place: int) -> float:
        if not 0 <= place < len(candidates):
            return -np.inf
        if place not in scores:
            scores[place] = score(candidates[place])
        return scores[place]

    place = len(candidates) // 2
    while True:
        best = max((place, place - 1, place + 1), key=at)
        if best == place:
            return candidates[place]
        place = best


def _decode_folds(
    products: ResidualProducts,
    penalty: float,
    shrinkage: float,
    folds: NDArray[np.int64],
    prior: FeaturePrior,
    centre: Double,
) -> tuple[Double, Double]:
    """Decode each fold by weights and a residual covariance of the other folds' rows.

    Returns
    -------
    decoded : ndarray of float64, shape (row, component)
        Posterior means.
    errors : ndarray of float64, shape (row, component)
        Residuals of the rows behind the filters, G e.
    """
    regression = products.regression
    decoded = np.empty((len(regression.rows), len(centre)))
    errors = np.empty_like(decoded)
    unit = np.ones(regression.rows.shape[1], dtype=np.float32)
    for fold in np.unique(folds):
        inside = folds == fold
        fitted = products.filters(penalty, shrinkage, ~inside)
        intercept = Standardization(fitted[0][-1].astype(np.float32), unit)
        model = _model(fitted, intercept, centre, prior)
        rows, features = regression.rows[inside], regression.features[inside, :-1]
        decoded[inside] = model.decode(rows)
        errors[inside] = intercept.apply(rows) @ model.filters.T - features @ model.information
    return decoded, errors


def _model(
    fitted: tuple[Double, Double], statistics: Standardization, centre: Double, prior: FeaturePrior
) -> EncodingModel:
    """Make a model of weights and filters, leaving out those of the intercept."""
    weights, filters = (part[:-1] for part in fitted)
    information = filters @ weights.T
    return EncodingModel(
        statistics,
        centre,
        weights.astype(np.float32),
        filters.astype(np.float32),
        0.5 * (information + information.T),
        prior,
    )


def _persistence(projected: NDArray[np.floating], clip: Labels) -> float:
    """Return the intraclass correlation of projected residuals over repeats of a clip.

    Parameters
    ----------
    projected : ndarray, shape (row, component)
        Left-out residuals as the decoder sees them, G e.
    clip : ndarray of str, shape (row,)

    Returns
    -------
    float
        Between 0 and 1; 0 where no clip is repeated.
    """
    _, place, counts = np.unique(clip, return_inverse=True, return_counts=True)
    repeated = counts[place] > 1
    if not repeated.any():
        return 0.0
    values = np.asarray(projected[repeated], dtype=np.float64)
    means, _ = average_repeats(values, clip[repeated])
    sizes = counts[counts > 1]
    # Analysis of variance in one way: mean squares between clips and within them.
    within = np.square(values).sum() - (sizes[:, None] * np.square(means)).sum()
    within /= max(1, int((sizes - 1).sum()))
    between = (sizes[:, None] * np.square(means)).sum() / len(sizes)
    mean_size = float(sizes.mean())
    share = (between - within) / (between + (mean_size - 1) * within)
    return float(np.clip(share, 0.0, 1.0))


def _cosine(predicted: Double, true: Double) -> float:
    length = float(np.sqrt((predicted**2).sum() * (true**2).sum()))
    return float((predicted * true).sum()) / length if length > 0 else 0.0
