"""The posterior over a finite set of vectors (atoms), given a prediction and how it errs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from brainflix.artifacts.stimuli import Array
from brainflix.learning.folds import group_folds
from brainflix.prior.noise import ClipAverages, Floats, NoiseModel, fit_noise

Estimate = Literal["mean", "map"]

_FOLDS = 5
_ROWS = 32  # predictions at a time, while a power is chosen


class Likelihood:
    """How probable a prediction is, for each true vector.

    Parameters
    ----------
    noise : NoiseModel
    repeats : float
        Trials that the prediction averages.
    spread : ndarray of float64, shape (component, component), optional
        Covariance of the atoms about the vectors that were regressed, where they are not the same:
        one caption's encoding about the mean over a clip's captions. It reaches the prediction
        through the slopes, so the error's covariance is ``S(n) + a a' * spread``.
    """

    def __init__(self, noise: NoiseModel, repeats: float, spread: Floats | None = None) -> None:
        self.mean, self.slope = noise.mean, noise.slope
        variance = noise.variance(repeats)
        self.deviation = np.sqrt(variance)
        self.root: Floats | None = None
        if spread is not None:
            covariance = np.diag(variance) + np.outer(self.slope, self.slope) * spread
            self.root = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)

    def _whiten(self, rows: Floats) -> Array:
        """Give errors unit covariance, (row, component) to the same shape."""
        if self.root is None:
            return (rows / self.deviation).astype(np.float32)
        return solve_triangular(self.root, rows.T, lower=True).T.astype(np.float32)

    def atoms(self, scores: Array, chunk: int = 8192) -> Array:
        """Return where predictions of some true scores lie, whitened, (atom, component)."""
        whitened = np.empty(scores.shape, dtype=np.float32)
        for start in range(0, len(scores), chunk):
            part = slice(start, start + chunk)
            whitened[part] = self._whiten(scores[part] * self.slope)
        return whitened

    def prediction(self, scores: Floats) -> Array:
        """Return a prediction's place among :meth:`atoms`, shape (component,)."""
        return self._whiten((scores - self.mean)[None])[0]


@dataclass
class AtomPosterior:
    """Atoms with equal prior weight.

    Parameters
    ----------
    noise : NoiseModel
    scores : ndarray of float32, shape (atom, component)
        Of the target.
    spread : ndarray of float64, shape (component, component), optional
        See :class:`Likelihood`.
    """

    noise: NoiseModel
    scores: Array
    spread: Floats | None = None
    _placed: dict[float, tuple[Likelihood, Array, Array]] = field(default_factory=dict)

    def _place(self, repeats: float) -> tuple[Likelihood, Array, Array]:
        """Return likelihood, whitened atoms and half their squared lengths, kept for a count."""
        if repeats not in self._placed:
            likelihood = Likelihood(self.noise, repeats, self.spread)
            atoms = likelihood.atoms(self.scores)
            half = 0.5 * np.einsum("ac,ac->a", atoms, atoms)
            self._placed = {repeats: (likelihood, atoms, half)}  # one count is in use at a time
        return self._placed[repeats]

    def log_likelihood(self, prediction: Floats, repeats: float) -> Array:
        """Return each atom's log-likelihood up to a constant, float32 (atom,)."""
        likelihood, atoms, half = self._place(repeats)
        return atoms @ likelihood.prediction(prediction) - half

    def best(self, prediction: Floats, repeats: float) -> int:
        """Return the most probable atom; of equals, the first."""
        return int(np.argmax(self.log_likelihood(prediction, repeats)))

    def mean(self, prediction: Floats, repeats: float, temper: float) -> Floats:
        """Return the posterior mean score, with likelihoods to the power of ``temper``."""
        log = self.log_likelihood(prediction, repeats)
        weight = np.exp(np.float32(temper) * (log - log.max()))
        return ((weight / weight.sum()) @ self.scores).astype(np.float64)

    def errors(
        self, predictions: Floats, true: Floats, repeats: float, tempers: Sequence[float]
    ) -> Floats:
        """Return the summed squared error of posterior means for several powers, (temper,).

        Parameters
        ----------
        predictions, true : ndarray of float64, shape (row, component)
        """
        likelihood, atoms, half = self._place(repeats)
        places = np.stack([likelihood.prediction(row) for row in predictions])
        log = places @ atoms.T - half  # (row, atom)
        log -= log.max(axis=1, keepdims=True)
        found = []
        for temper in tempers:
            weight = np.exp(np.float32(temper) * log)
            means = (weight / weight.sum(axis=1, keepdims=True)) @ self.scores
            found.append(((means - true) ** 2).sum())
        return np.array(found)


def choose_temper(
    averages: ClipAverages,
    scores: Array,
    spread: Floats | None,
    tempers: Sequence[float],
    seed: int,
) -> float:
    """Choose the power of the likelihood by the error of held-out posterior means.

    The noise model takes components as independent; where they are not, it counts the same evidence
    several times, and a power below one corrects for it. Noise is fitted to the other folds, so the
    choice uses pairs alone.

    Parameters
    ----------
    averages : ClipAverages
        Of all pairs.
    scores, spread
        Of the atoms, see :class:`AtomPosterior`.
    tempers : sequence of float
        To choose from.
    seed : int
        Of the folds, which keep a clip whole.
    """
    if len(tempers) == 1:
        return float(tempers[0])
    folds = group_folds(averages.clip, _FOLDS, seed)
    errors: NDArray[np.float64] = np.zeros(len(tempers))
    for fold in np.unique(folds):
        posterior = AtomPosterior(fit_noise(averages.take(folds != fold)), scores, spread)
        count = float(np.median(averages.repeats))
        rows = np.flatnonzero(folds == fold)
        for start in range(0, len(rows), _ROWS):
            part = rows[start : start + _ROWS]
            errors += posterior.errors(
                averages.predicted[part], averages.true[part], count, tempers
            )
    return float(tempers[int(errors.argmin())])
