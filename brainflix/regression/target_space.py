"""The coordinates in which a target is regressed: standardised, then principal components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from brainflix.artifacts.stimuli import Array
from brainflix.learning.ridge import Standardization


@dataclass(frozen=True)
class TargetSpace:
    """Map a target to scores of like scale and back.

    Parameters
    ----------
    shape : tuple of int
        Of one clip's target.
    mean, scale : ndarray of float32, shape (dim,)
        Of the training clips; ``scale`` is 1 where they do not vary.
    basis : ndarray of float32, shape (dim, component)
        Orthonormal principal components of the standardised training clips, or the identity.
    size : float
        Root mean square of the training scores, over clips and components, before scaling.
    """

    shape: tuple[int, ...]
    mean: Array
    scale: Array
    basis: Array
    size: float

    @property
    def components(self) -> int:
        """Number of scores."""
        return self.basis.shape[1]

    def scores(self, values: Array) -> Array:
        """Map targets (row, ...) to scores (row, component)."""
        flat = values.reshape(len(values), -1)
        scores = ((flat - self.mean) / self.scale) @ self.basis / self.size
        return scores.astype(np.float32)

    def values(self, scores: Array) -> Array:
        """Map scores (row, component) to targets (row, ...) in their own units."""
        flat = (scores * self.size) @ self.basis.T * self.scale + self.mean
        return flat.reshape(len(scores), *self.shape).astype(np.float32)

    def stretch(self, values: Array) -> Array:
        """Give each row's deviation from the training mean the typical length of training clips.

        Regression shrinks uncertain predictions towards the mean; what takes them, such as a
        generator, was made for vectors of full length. Lengths are those of the scores.

        Parameters
        ----------
        values : ndarray of float32, shape (row, ...)
            Predicted targets. A row that equals the mean stays.
        """
        length = np.linalg.norm(self.scores(values), axis=1)
        factor = np.sqrt(self.components) / np.where(length > 0, length, np.inf)
        factor[length == 0] = 1.0
        flat = values.reshape(len(values), -1)
        stretched = self.mean + (flat - self.mean) * factor[:, None]
        return stretched.reshape(values.shape).astype(np.float32)


def make_space(values: Array, components: int) -> TargetSpace:
    """Fit the coordinates of a target to training clips.

    Parameters
    ----------
    values : ndarray of float32, shape (clip, ...)
        Targets of training clips.
    components : int
        Principal components kept, at most; 0 keeps every dimension as it is.
    """
    flat = values.reshape(len(values), -1)
    statistics = Standardization.of(flat)
    standard = statistics.apply(flat).astype(np.float64)
    dim = standard.shape[1]
    basis = _leading(standard, components) if 0 < components < dim else np.eye(dim)
    size = float(np.sqrt(((standard @ basis) ** 2).mean())) or 1.0
    return TargetSpace(
        values.shape[1:], statistics.mean, statistics.scale, basis.astype(np.float32), size
    )


def _leading(rows: np.ndarray, count: int) -> np.ndarray:
    """Return the leading right singular vectors of centred rows, (dim, at most count)."""
    wide = rows.shape[0] <= rows.shape[1]
    gram = rows @ rows.T if wide else rows.T @ rows
    count = min(count, len(gram))
    strength, vectors = eigh(gram, subset_by_index=[len(gram) - count, len(gram) - 1])
    keep = strength > 1e-9 * max(float(strength[-1]), 1e-30)
    strength, vectors = strength[keep][::-1], vectors[:, keep][:, ::-1]
    if not len(strength):  # no clip differs from another: one component that is always zero
        return np.eye(rows.shape[1], 1)
    axes = (rows.T @ vectors) / np.sqrt(strength) if wide else vectors
    largest = np.abs(axes).argmax(axis=0)
    return axes * np.sign(axes[largest, range(axes.shape[1])])
