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
from scipy.linalg import cho_factor, cho_solve

from brainflix.artifacts.responses import average_repeats
from brainflix.artifacts.stimuli import Array, Labels
from brainflix.errors import DataError
from brainflix.learning.clip_features import Double, FeaturePrior
from brainflix.learning.folds import group_folds
from brainflix.learning.ridge import Standardization


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
    encoder = Encoder.of(rows, features - centre)
    unit = float(np.square(encoder.features[:, :-1]).sum() / features.shape[1])
    penalties, shrinkages = sorted(options.penalties), sorted(options.shrinkages)
    products = Products.of(encoder, penalties[len(penalties) // 2] * unit)
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


Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Encoder:
    """Ridge from features F to standardised responses Y, of all rows or of some.

    The last column of F is 1 and its weights, the intercept, are not penalised. Rows that are left
    out must not enter by a mean of all rows either: what is centred by it knows their sum.

    Parameters
    ----------
    rows : ndarray of float32, shape (row, voxel)
    features : ndarray of float64, shape (row, component + 1)
    square : ndarray of float64, shape (component + 1, component + 1)
        F'F.
    cross : ndarray of float64, shape (component + 1, voxel)
        F'Y.
    """

    rows: Array
    features: Double
    square: Double
    cross: Double

    @classmethod
    def of(cls, rows: Array, features: Double) -> Encoder:
        """Take the products of all rows; features (row, component) come without the intercept."""
        features = np.concatenate([features, np.ones((len(features), 1))], axis=1)
        return cls(rows, features, features.T @ features, _cross(features, rows))

    def weights(self, penalty: float, keep: Mask | None = None) -> tuple[Double, float]:
        """Return ridge weights (component + 1, voxel) of the kept rows, and their trace.

        The trace is that of the map from responses to fitted responses: the parameters that a
        voxel effectively has.
        """
        square, cross = self.square, self.cross
        if keep is not None and not keep.all():
            left = self.features[~keep]
            square, cross = square - left.T @ left, cross - _cross(left, self.rows[~keep])
        penalized = square + np.diag([penalty] * (len(square) - 1) + [0.0])
        factor = cho_factor(penalized, overwrite_a=True, check_finite=False)
        trace = float(np.trace(cho_solve(factor, square, check_finite=False)))
        return np.asarray(cho_solve(factor, cross, check_finite=False)), trace


def _cross(features: Double, rows: Array) -> Double:
    return (features.T.astype(np.float32) @ rows).astype(np.float64)


@dataclass(frozen=True)
class Products:
    """Products of scaled rows Z, from which every fold's residual covariance follows.

    The residuals of a fold's fit are Z - F B, with B its scaled weights, so their products differ
    from those of Z by terms of the features' small rank: the large product is taken once.

    Parameters
    ----------
    encoder : Encoder
    scale : ndarray of float32, shape (voxel,)
        Root mean square of each voxel's residuals, Z = Y / scale.
    scaled : ndarray of float32, shape (row, voxel)
        Z.
    gram : ndarray of float64
        ZZ', (row, row), where there are at least as many voxels as rows; Z'Z, (voxel, voxel),
        otherwise.
    """

    encoder: Encoder
    scale: Array
    scaled: Array
    gram: Double

    @classmethod
    def of(cls, encoder: Encoder, penalty: float) -> Products:
        """Scale the rows by the residuals of the fit to all of them, and take their products."""
        weights, trace = encoder.weights(penalty)
        residual = encoder.rows - encoder.features.astype(np.float32) @ weights.astype(np.float32)
        scale = np.sqrt(
            np.square(residual).mean(axis=0, dtype=np.float64) * _inflation(trace, len(residual))
        ).astype(np.float32)
        scale[scale == 0] = 1.0
        scaled = encoder.rows / scale
        wide = scaled.shape[0] <= scaled.shape[1]
        gram = scaled @ scaled.T if wide else scaled.T @ scaled
        return cls(encoder, scale, scaled, gram.astype(np.float64))

    def filters(self, penalty: float, shrinkage: float, keep: Mask) -> tuple[Double, Double]:
        """Fit the kept rows and return W' and W' S^-1, each (component + 1, voxel).

        S = D^1/2 ((1 - s) R + s I) D^1/2, with s the shrinkage, D the variances of the residuals
        and R their correlations (the target D of Schaefer and Strimmer 2005, doi
        10.2202/1544-6115.1175).

        Parameters
        ----------
        penalty : float
        shrinkage : float
            Above 0, at most 1.
        keep : ndarray of bool, shape (row,)
        """
        weights, trace = self.encoder.weights(penalty, keep)
        scaled, features = weights / self.scale, self.encoder.features[keep]
        if shrinkage >= 1:
            return weights, scaled / self.scale
        count = len(features)
        share = (1 - shrinkage) * _inflation(trace, count) / count
        solve = self._solve_dual if len(self.gram) == len(self.scaled) else self._solve_primal
        return weights, solve(scaled, features, keep, shrinkage, share) / self.scale

    def _solve_dual(
        self, scaled: Double, features: Double, keep: Mask, shrinkage: float, share: float
    ) -> Double:
        """Return B (s I + c E'E)^-1 over rows, with E = Z - F B the residuals.

        By Woodbury, with q = s / c: B (I - E' (q I + EE')^-1 E) / s.
        """
        rows = self.scaled[keep]
        # EE' and EB' from ZZ', ZB' and BB': no array of residuals is formed.
        projected = (rows @ scaled.T.astype(np.float32)).astype(np.float64)  # ZB'
        square = scaled @ scaled.T
        mixed = projected @ features.T
        inner = self.gram[np.ix_(keep, keep)] - mixed - mixed.T + features @ square @ features.T
        inner[np.diag_indices(len(inner))] += shrinkage / share
        factor = cho_factor(inner, overwrite_a=True, check_finite=False)
        dual = cho_solve(factor, projected - features @ square, check_finite=False)
        # B - (EE' part) E, with E written out: rows - F B.
        explained = dual.T.astype(np.float32) @ rows - (dual.T @ features) @ scaled
        return np.asarray((scaled - explained) / shrinkage)

    def _solve_primal(
        self, scaled: Double, features: Double, keep: Mask, shrinkage: float, share: float
    ) -> Double:
        """Return B (s I + c E'E)^-1 over voxels, with E = Z - F B the residuals."""
        left = self.scaled[~keep]
        mixed = scaled.T @ _cross(features, self.scaled[keep])  # B'F'Z, (voxel, voxel)
        inner = self.gram - (left.T @ left).astype(np.float64) - mixed - mixed.T
        inner += scaled.T @ (features.T @ features) @ scaled
        inner *= share
        inner[np.diag_indices(len(inner))] += shrinkage
        factor = cho_factor(inner, overwrite_a=True, check_finite=False)
        return np.asarray(cho_solve(factor, scaled.T, check_finite=False).T)


def _inflation(trace: float, count: int) -> float:
    """Return how much larger the error of a new row is than the mean square of fitted residuals.

    Of n rows and k effective parameters, fitted residuals are short by (n - k) / n, and errors in
    the weights add k / n to the noise of a new row.
    """
    return (1 + trace / count) / max(1 - trace / count, 1 / count)


def _decode_folds(
    products: Products,
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
    encoder = products.encoder
    decoded = np.empty((len(encoder.rows), len(centre)))
    errors = np.empty_like(decoded)
    unit = np.ones(encoder.rows.shape[1], dtype=np.float32)
    for fold in np.unique(folds):
        inside = folds == fold
        fitted = products.filters(penalty, shrinkage, ~inside)
        intercept = Standardization(fitted[0][-1].astype(np.float32), unit)
        model = _model(fitted, intercept, centre, prior)
        rows, features = encoder.rows[inside], encoder.features[inside, :-1]
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
