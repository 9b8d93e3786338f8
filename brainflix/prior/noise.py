"""How predictions err: a linear model with Gaussian noise, as a function of averaged repeats.

In the scores of a target, a prediction is ``p = m + a z + e`` with ``e ~ N(0, S(n))``: regression
shrinks each score by its own slope and adds an error. Of the error's variance one part, A, belongs
to the clip and stays however often the clip is shown, the other, B, is the noise of a single trial:
``S(n) = A + B / n``. The regression is fitted to averages of n = 2 and applied to averages of 10,
so a model without n would trust test predictions too little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.stimuli import Array, Labels
from brainflix.errors import DataError
from brainflix.prior.data import Pairs, Tensors, TrainingClips
from brainflix.regression.target_space import TargetSpace, make_space

Floats = NDArray[np.float64]

_FEWEST = 8  # clips; a line and a spread fitted to fewer say nothing
_FLOOR = 0.05  # of the residual variance: no error of the clip is assumed to be smaller


@dataclass(frozen=True)
class NoiseModel:
    """Predicted scores given true ones, a component at a time.

    Parameters
    ----------
    mean, slope : ndarray of float64, shape (component,)
        The line.
    clip_variance, trial_variance : ndarray of float64, shape (component,)
        A and B. B is 0 where the pairs hold no repeated trials: then no average is trusted more
        than the pairs' own.
    """

    mean: Floats
    slope: Floats
    clip_variance: Floats
    trial_variance: Floats

    def variance(self, repeats: float) -> Floats:
        """Return the error's variance of a prediction that averages ``repeats`` trials."""
        return self.clip_variance + self.trial_variance / repeats


@dataclass(frozen=True)
class ClipAverages:
    """Predicted and true scores of each subject and clip, averaged over its repeats.

    Parameters
    ----------
    clip : ndarray of str, shape (group,)
    predicted, true : ndarray of float64, shape (group, component)
    repeats : ndarray of float64, shape (group,)
        Trials averaged.
    trial_variance : ndarray of float64, shape (component,)
        Of one trial about its clip's mean; 0 without repeats.
    """

    clip: Labels
    predicted: Floats
    true: Floats
    repeats: Floats
    trial_variance: Floats

    def take(self, groups: NDArray[np.bool_]) -> ClipAverages:
        """Return some of the groups, with the same spread of a trial."""
        return ClipAverages(
            self.clip[groups],
            self.predicted[groups],
            self.true[groups],
            self.repeats[groups],
            self.trial_variance,
        )


def average_clips(
    predicted: Array, true: Array, clip: Labels, subject: Labels, repeats: NDArray[np.int64]
) -> ClipAverages:
    """Average the scores of each subject's trials of a clip, and measure the spread of a trial.

    Parameters
    ----------
    predicted, true : ndarray, shape (pair, component)
    clip, subject, repeats : ndarray, shape (pair,)
        See :class:`brainflix.prior.data.Pairs`.
    """
    names = np.char.add(np.char.add(subject.astype(str), "\0"), clip.astype(str))
    _, first, group = np.unique(names, return_index=True, return_inverse=True)
    weight = repeats.astype(np.float64)
    total = np.bincount(group, weight).astype(np.float64)
    means = np.zeros((len(total), predicted.shape[1]))
    np.add.at(means, group, weight[:, None] * predicted)  # (pair, component) -> (group, component)
    means /= total[:, None]

    # a row that averages n trials scatters about its clip's mean with variance B / n, so squares
    # weighted by n add up to B times the degrees of freedom, whatever the mixture of n
    freedom = len(predicted) - len(total)
    squares = (weight[:, None] * (predicted - means[group]) ** 2).sum(axis=0)
    spread = squares / freedom if freedom > 0 else np.zeros(predicted.shape[1])
    return ClipAverages(clip[first], means, true[first].astype(np.float64), total, spread)


def fit_noise(averages: ClipAverages) -> NoiseModel:
    """Fit the line and the variances to clip averages.

    Slopes are shrunk towards the common one by as much as their own uncertainty explains of their
    spread (Efron and Morris 1975).

    Raises
    ------
    DataError
        When there are fewer than eight clips.
    """
    z, p = averages.true, averages.predicted
    n = len(z)
    if n < _FEWEST:
        raise DataError(
            "too few pairs of prediction and truth to say how predictions err",
            expected=f"at least {_FEWEST} clips",
            found=n,
            where="pairs of the prior",
            remedy="set more validation clips aside (alignment.validation_fraction), or choose "
            "the prior none",
        )
    zc, pc = z - z.mean(axis=0), p - p.mean(axis=0)
    power = np.maximum((zc**2).sum(axis=0), 1e-12)
    slope = (zc * pc).sum(axis=0) / power
    residual = ((pc - slope * zc) ** 2).sum(axis=0) / max(1, n - 2)

    # the common slope, and how far components differ beyond the sampling error of their slopes
    common = float((zc * pc).sum() / power.sum())
    error = residual / power
    between = max(0.0, float(((slope - common) ** 2 - error).mean()))
    slope = common + (slope - common) * between / np.maximum(between + error, 1e-12)

    total = np.maximum(((pc - slope * zc) ** 2).sum(axis=0) / max(1, n - 2), 1e-12)
    clip_part = total - averages.trial_variance * (1 / averages.repeats).mean()
    return NoiseModel(
        p.mean(axis=0) - slope * z.mean(axis=0),
        slope,
        np.maximum(clip_part, _FLOOR * total),
        np.minimum(averages.trial_variance, total / (1 / averages.repeats).mean()),
    )


@dataclass(frozen=True)
class Observation:
    """A target's scores, and how predictions of them err.

    Parameters
    ----------
    space : TargetSpace
        Fitted to training clips.
    noise : NoiseModel
    """

    space: TargetSpace
    noise: NoiseModel

    def scores(self, vector: Array) -> Floats:
        """Return one vector's scores, shape (component,)."""
        return self.space.scores(vector[None])[0].astype(np.float64)

    def vector(self, scores: Floats) -> Array:
        """Return the vector with some scores, in the target's shape and units."""
        return self.space.values(scores[None].astype(np.float32))[0]

    def tensors(self) -> Tensors:
        """Return all arrays by name, for a file."""
        space = {name: getattr(self.space, name) for name in ("mean", "scale", "basis")}
        space["size"] = np.array([self.space.size], dtype=np.float64)
        noise = {name: getattr(self.noise, name) for name in NoiseModel.__dataclass_fields__}
        return {f"space.{k}": v for k, v in space.items()} | {
            f"noise.{k}": v for k, v in noise.items()
        }

    @classmethod
    def of(cls, tensors: Tensors, shape: tuple[int, ...]) -> Observation:
        """Return what :meth:`tensors` wrote."""
        mean, scale, basis = (tensors[f"space.{name}"] for name in ("mean", "scale", "basis"))
        space = TargetSpace(shape, mean, scale, basis, float(tensors["space.size"][0]))
        fields = NoiseModel.__dataclass_fields__
        return cls(space, NoiseModel(*(tensors[f"noise.{name}"] for name in fields)))


def observe(
    pairs: Pairs, clips: TrainingClips, components: int
) -> tuple[Observation, ClipAverages]:
    """Fit the scores to training clips and their noise to pairs; return the pairs' averages too."""
    space = make_space(clips.values, components)
    averages = average_clips(
        space.scores(pairs.predicted),
        space.scores(pairs.true),
        pairs.clip,
        pairs.subject,
        pairs.repeats,
    )
    return Observation(space, fit_noise(averages)), averages
