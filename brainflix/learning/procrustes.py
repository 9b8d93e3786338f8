"""Procrustes alignment: an orthogonal map of each subject's responses to those of a reference.

Responses are reduced to principal components within each subject; the orthogonal map is the one
that brings the components of clips that both saw nearest to each other (Schoenemann 1966, doi
10.1007/BF02289451; Haxby et al. 2011, doi 10.1016/j.neuron.2011.08.026). It needs no targets, but
it needs clips in common.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from brainflix.artifacts.responses import average_repeats
from brainflix.artifacts.stimuli import Array, Labels
from brainflix.errors import DataError
from brainflix.learning.ridge import (
    Double,
    Standardization,
    decompose,
)


@dataclass(frozen=True)
class ProcrustesMap:
    """One subject's map into the components of the reference.

    Parameters
    ----------
    statistics : Standardization
        Of the subject's training responses.
    basis : ndarray of float32, shape (feature, component)
        Orthonormal principal axes of the subject's clip means.
    rotation : ndarray of float64, shape (component, component)
        Orthogonal; the identity for the reference.
    offset, origin : ndarray of float64, shape (component,)
        Mean of the shared clips in the reference's and in the subject's components.
    shared_clips : int
        Clips that determined the rotation.
    """

    statistics: Standardization
    basis: Array
    rotation: Double
    offset: Double
    origin: Double
    shared_clips: int

    def apply(self, responses: Array) -> Array:
        """Map raw responses (trial, feature) to (trial, component), float32."""
        weights, bias = self.affine()
        return self.statistics.apply(responses) @ weights + bias

    def affine(self) -> tuple[Array, Array]:
        """Return the map of standardised responses: weights (feature, component) and bias."""
        weights = self.basis @ self.rotation.astype(np.float32)
        bias = self.offset - self.origin @ self.rotation
        return weights, bias.astype(np.float32)


def fit_procrustes(
    responses: Mapping[str, Array],
    clip: Mapping[str, Labels],
    components: int,
    reference: str | None = None,
) -> dict[str, ProcrustesMap]:
    """Map every subject to one reference.

    Parameters
    ----------
    responses : mapping of str to ndarray of float32, shape (trial, feature)
        Raw responses of the training trials, by subject.
    clip : mapping of str to ndarray of str, shape (trial,)
        The clip of each trial; one name is one clip for all subjects, so put the study before it
        where studies have clips of the same name.
    components : int
        Principal components wanted; fewer where a subject has fewer, or where fewer clips are
        shared than a rotation of that many needs (one more than components).
    reference : str, optional
        By default the subject who shares most clips with the one who shares least with it.

    Returns
    -------
    dict of str to ProcrustesMap
        By subject.

    Raises
    ------
    DataError
        When the reference is unknown or a subject shares fewer than two clips with it.
    """
    clips = {subject: set(np.unique(labels).tolist()) for subject, labels in clip.items()}
    if reference is None:
        reference = max(clips, key=lambda name: min(len(clips[name] & c) for c in clips.values()))
    shared = _shared_clips(clips, reference)
    means: dict[str, tuple[Standardization, Array, Labels]] = {}
    ranks = [components, *(len(names) - 1 for names in shared.values())]
    bases = {}
    for subject, rows in responses.items():
        statistics = Standardization.of(rows)
        average, labels = average_repeats(statistics.apply(rows), clip[subject])
        bases[subject] = _principal_axes(average)
        means[subject] = statistics, average, labels
        ranks.append(bases[subject].shape[1])
    count = min(ranks)
    maps = {}
    for subject, (statistics, average, labels) in means.items():
        names = shared[subject]
        basis = bases[subject][:, :count]
        source = _project(average, labels, names, basis)
        theirs = means[reference]
        target = _project(theirs[1], theirs[2], names, bases[reference][:, :count])
        origin, offset = source.mean(axis=0), target.mean(axis=0)
        # The orthogonal map nearest to the cross-products: U V' of their singular vectors.
        left, _, right = np.linalg.svd((source - origin).T @ (target - offset))
        rotation = np.eye(count) if subject == reference else left @ right
        maps[subject] = ProcrustesMap(statistics, basis, rotation, offset, origin, len(names))
    return maps


def _shared_clips(clips: Mapping[str, set[str]], reference: str) -> dict[str, Labels]:
    """Return the clips that each subject shares with the reference, sorted."""
    if reference not in clips:
        raise DataError(
            "the reference of the Procrustes alignment is no subject",
            expected=f"one of {', '.join(clips)}",
            found=reference,
        )
    shared = {subject: np.array(sorted(own & clips[reference])) for subject, own in clips.items()}
    for subject, names in shared.items():
        if len(names) < 2:
            raise DataError(
                f"{subject} shares too few training clips with {reference}",
                expected="at least two clips that both saw",
                found=f"{len(names)} of {len(clips[subject])} and {len(clips[reference])}",
                where=subject,
                remedy="choose another reference, leave the subject out, or use heads that need no "
                "clips in common (ridge, encoding, gradient)",
            )
    return shared


def _principal_axes(rows: Array) -> Array:
    """Return orthonormal principal axes of rows (row, feature), strongest first."""
    spectrum = decompose(rows - rows.mean(axis=0))
    axes = spectrum.rows.T @ (spectrum.basis / np.sqrt(spectrum.strength)).astype(np.float32)
    largest = np.abs(axes).argmax(axis=0)
    return np.asarray(axes * np.sign(axes[largest, range(axes.shape[1])]))


def _project(average: Array, labels: Labels, names: Labels, basis: Array) -> Double:
    """Return the components of some clips' mean responses, (clip, component)."""
    rows = average[np.searchsorted(labels, names)]
    return (rows @ basis).astype(np.float64)
