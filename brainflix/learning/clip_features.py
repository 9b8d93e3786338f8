"""Features of clips that an encoding model predicts voxels from, and the prior over them.

The features are principal components of the clips' targets (an embedding, a conditioning, latents)
put side by side. They and the prior are learnt from the clips of all people, so that a person with
few trials still profits from what clips in general look like.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from brainflix.artifacts.stimuli import Array
from brainflix.errors import DataError

Double = NDArray[np.float64]
_RANK = 1e-6  # variances below this share of the largest, and of a mean, are rounding of float32


@dataclass(frozen=True)
class ClipFeatures:
    """Map the targets of clips to features and back.

    A target is centred and divided by the root mean square length of its deviations, so that each
    has the same total variance, whatever its number of dimensions and its unit. The features are
    principal components of the targets put side by side, divided by one common factor, so that
    their mean variance is 1.

    Parameters
    ----------
    means : dict of str to ndarray of float32, shape (dim,)
        Mean over the training clips, by target.
    scales : dict of str to float
        Root mean square length of a target's deviations from its mean.
    axes : dict of str to ndarray of float32, shape (dim, component)
        Each target's rows of the orthonormal principal axes.
    shapes : dict of str to tuple of int
        Shape of one clip's target.
    size : float
        Root mean square of the training clips' component scores.
    """

    means: dict[str, Array]
    scales: dict[str, float]
    axes: dict[str, Array]
    shapes: dict[str, tuple[int, ...]]
    size: float

    @property
    def components(self) -> int:
        """Number of features."""
        return next(iter(self.axes.values())).shape[1]

    def features(self, targets: Mapping[str, Array]) -> Double:
        """Map the targets of clips to their features.

        Parameters
        ----------
        targets : mapping of str to ndarray of float32, shape (clip, ...)
            All targets that the features were fitted to.

        Returns
        -------
        ndarray of float64, shape (clip, component)

        Raises
        ------
        DataError
            When a target is missing or has another shape.
        """
        total = np.zeros((), dtype=np.float64)
        for name, axes in self.axes.items():
            if name not in targets or targets[name].shape[1:] != self.shapes[name]:
                raise DataError(
                    f"the target {name} does not fit the clip features",
                    expected=f"a row of shape {self.shapes[name]} for each clip",
                    found=targets[name].shape[1:] if name in targets else sorted(targets),
                    remedy="compute it by the encoder and model that the features were fitted to",
                )
            flat = targets[name].reshape(len(targets[name]), -1)
            total = total + ((flat - self.means[name]) / self.scales[name]) @ axes
        return np.asarray(total / self.size)

    def loadings(self, name: str) -> Double:
        """Return the map from features to a target's deviations from its mean, (component, dim)."""
        return self.axes[name].T.astype(np.float64) * (self.size * self.scales[name])

    def target(self, name: str, features: Double) -> Array:
        """Reconstruct a target from features by the principal axes.

        Parameters
        ----------
        name : str
            One of the targets that the features were fitted to.
        features : ndarray of float64, shape (row, component)

        Returns
        -------
        ndarray of float32, shape (row, ...)
            In the target's own units.
        """
        flat = features @ self.loadings(name) + self.means[name]
        return flat.reshape(len(features), *self.shapes[name]).astype(np.float32)


def fit_clip_features(targets: Mapping[str, Array], components: int) -> ClipFeatures:
    """Fit features to training clips.

    Parameters
    ----------
    targets : mapping of str to ndarray of float32, shape (clip, ...)
        Targets of the training clips of all people, in one order. One target is enough.
    components : int
        Features wanted; fewer where the clips span fewer dimensions.

    Raises
    ------
    DataError
        Without targets, with different numbers of clips, or when no target varies.
    """
    counts = {name: len(values) for name, values in targets.items()}
    if not counts or len(set(counts.values())) > 1 or components < 1:
        raise DataError(
            "clip features need targets of the same clips",
            expected="at least one target, one row for each clip, and components >= 1",
            found=f"rows {counts}, {components} components",
        )
    means, scales, blocks = {}, {}, {}
    for name, values in targets.items():
        flat = values.reshape(len(values), -1)
        means[name] = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
        centred = flat - means[name]
        squares = np.einsum("cd,cd->", centred, centred, dtype=np.float64)
        scales[name] = float(np.sqrt(squares / len(flat)))
        if scales[name] <= _RANK * float(np.linalg.norm(means[name])):
            scales[name] = 1.0  # it does not vary
        blocks[name] = centred / np.float32(scales[name])
    # Principal axes over the smaller side: clips where there are fewer clips than dimensions.
    dims = {name: block.shape[1] for name, block in blocks.items()}
    clips, dim = len(next(iter(blocks.values()))), sum(dims.values())
    if clips <= dim:
        gram = sum((b @ b.T).astype(np.float64) for b in blocks.values())
    else:
        side = np.concatenate([*blocks.values()], axis=1)
        gram = (side.T @ side).astype(np.float64)
    strength, vectors = _leading(np.asarray(gram), components)
    if clips <= dim:
        weights = (vectors / np.sqrt(strength)).astype(np.float32)
        axes = {name: block.T @ weights for name, block in blocks.items()}
    else:
        cuts = np.cumsum([*dims.values()])[:-1]
        parts = np.split(vectors.astype(np.float32), cuts, axis=0)
        axes = dict(zip(dims, parts, strict=True))
    size = float(np.sqrt(strength.mean() / clips))
    shapes = {name: values.shape[1:] for name, values in targets.items()}
    return ClipFeatures(means, scales, axes, shapes, size)


def feature_lift(coordinates: Double, lift: Double, seed: int) -> Double:
    """Place features in a shared space that starts out as the prediction of one target.

    Along ``lift`` they are what they say about that target; what else they say lies in directions
    orthogonal to it, which the shared layers can learn to use.

    Parameters
    ----------
    coordinates : ndarray of float64, shape (component, coordinate)
        Map from features to the target's coordinates in the shared space.
    lift : ndarray of float64, shape (coordinate, dim)
        Orthonormal rows that spread the coordinates over the width of the shared space.
    seed : int
        Seed of the other directions.

    Returns
    -------
    ndarray of float64, shape (component, dim)
        Where the space has too few other directions, only the first features, which vary most, get
        one.
    """
    components, dim = len(coordinates), lift.shape[1]
    count = min(components, dim - len(lift))
    placed = coordinates @ lift
    if count > 0:
        gaussian = np.random.default_rng(seed).standard_normal((count, dim))
        gaussian -= gaussian @ lift.T @ lift
        # Orthonormal, and together as long as the features' mean variance of 1 over components.
        placed[:count] += np.linalg.qr(gaussian.T)[0].T / np.sqrt(components)
    return np.asarray(placed)


def _leading(gram: Double, count: int) -> tuple[Double, Double]:
    """Return the leading eigenvalues, descending, and eigenvectors (row, component)."""
    count = min(count, len(gram))
    strength, vectors = eigh(gram, subset_by_index=[len(gram) - count, len(gram) - 1])
    keep = strength > _RANK * max(float(strength[-1]), 0.0)
    if not keep.any():
        raise DataError(
            "no target differs between clips", expected="targets that vary", found="zeros"
        )
    strength, vectors = strength[keep][::-1], vectors[:, keep][:, ::-1]
    # The sign of an eigenvector is arbitrary; fix it so that refits agree.
    largest = np.abs(vectors).argmax(axis=0)
    return strength, vectors * np.sign(vectors[largest, range(vectors.shape[1])])


@dataclass(frozen=True)
class FeaturePrior:
    """A normal distribution over clip features.

    Parameters
    ----------
    mean : ndarray of float64, shape (component,)
    covariance : ndarray of float64, shape (component, component)
        Symmetric and positive semidefinite; it may be singular.
    """

    mean: Double
    covariance: Double


def fit_prior(features: Double) -> FeaturePrior:
    """Fit the prior to the features of training clips.

    Parameters
    ----------
    features : ndarray of float64, shape (clip, component)
        Of the training clips of all people, each clip once.

    Raises
    ------
    DataError
        With fewer than two clips.
    """
    if len(features) < 2:
        raise DataError(
            "too few clips for a prior over features", expected="at least 2", found=len(features)
        )
    mean = features.mean(axis=0)
    centred = features - mean
    return FeaturePrior(mean, centred.T @ centred / len(features))
