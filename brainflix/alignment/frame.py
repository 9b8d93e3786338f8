"""Closed-form subject heads: ridge regression of each subject into one common frame.

The frame is spanned by the principal components of the training clips' embeddings, so heads of
subjects who saw different clips map to the same coordinates. A training trial's coordinates are
cross-fitted: they come from a fit without the trial's group of clips. In-sample coordinates would
be far cleaner than those of test trials, and whatever is trained on them would trust them too much
(Wolpert 1992, stacked generalization, doi 10.1016/S0893-6080(05)80023-1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from brainflix.alignment.module import AlignmentModule
from brainflix.alignment.options import LinearHeadsOptions, RidgeHeadsOptions
from brainflix.artifacts.responses import Trials
from brainflix.artifacts.stimuli import Array, Labels
from brainflix.config.recipe import RidgeConfig
from brainflix.learning.cohort import Cohort, Roles
from brainflix.learning.folds import group_folds
from brainflix.learning.ridge import (
    Double,
    Standardization,
    choose_alphas,
    decompose,
    heldout_predictions,
)


@dataclass(frozen=True)
class Frame:
    """Common coordinates of all subjects.

    Parameters
    ----------
    components : ndarray of float64, shape (embedding dim, component)
        Orthonormal principal components of the training clips' embeddings.
    scale : float
        Root mean square length of the embeddings' deviations from their mean.
    lift : ndarray of float64, shape (component, dim)
        Orthonormal rows that spread the components over the width of the shared space.
    """

    components: Double
    scale: float
    lift: Double

    def coordinates(self, embeddings: Array) -> Double:
        """Map centred embeddings (clip, embedding dim) to (clip, component)."""
        return embeddings.astype(np.float64) @ self.components / self.scale

    def back(self) -> Double:
        """Return the map from the shared space to centred embeddings, (dim, embedding dim)."""
        return self.scale * self.lift.T @ self.components.T


def make_frame(embeddings: Array, dim: int, seed: int) -> Frame:
    """Build the frame from centred embeddings of training clips.

    Parameters
    ----------
    embeddings : ndarray of float32, shape (clip, embedding dim)
        Centred.
    dim : int
        Width of the shared space; components beyond it are left out.
    seed : int
        Of the random orientation in the shared space.
    """
    _, strength, axes = np.linalg.svd(embeddings.astype(np.float64), full_matrices=False)
    count = int(min(dim, max(1, (strength > 1e-5 * strength[0]).sum())))
    components = axes[:count].T
    components = components * np.sign(components[np.abs(components).argmax(axis=0), range(count)])
    scale = float(np.sqrt((strength**2).sum() / len(embeddings))) or 1.0
    gaussian = np.random.default_rng(seed).standard_normal((dim, count))
    return Frame(components, scale, np.linalg.qr(gaussian)[0].T)


@dataclass(frozen=True)
class RidgeHead:
    """A subject's fitted head.

    Parameters
    ----------
    weights : ndarray of float32, shape (feature, dim)
        From standardised responses to the shared space.
    heldout : ndarray of float32, shape (row, dim)
        Of the rows it was fitted on, each by the fit without its group.
    alpha : float
        The penalty chosen.
    """

    weights: Array
    heldout: Array
    alpha: float


def fit_ridge_head(
    responses: Array,
    coordinates: Double,
    clip: Labels,
    group: Labels,
    frame: Frame,
    options: RidgeConfig,
    seed: int,
) -> RidgeHead:
    """Fit one subject's head.

    Parameters
    ----------
    responses : ndarray of float32, shape (row, feature)
        Raw responses of the rows to fit on.
    coordinates : ndarray of float64, shape (row, component)
        Of each row's clip in the frame.
    clip, group : ndarray of str, shape (row,)
        Each row's clip, and the group of clips it belongs to.
    frame : Frame
    options : RidgeConfig
        Penalties and folds.
    seed : int
        Of the folds.
    """
    spectrum = decompose(Standardization.of(responses).apply(responses))
    folds: NDArray[np.int64] = group_folds(group, options.folds, seed)
    centred = coordinates - coordinates.mean(axis=0)
    penalties = spectrum.penalties(options.alphas)
    alpha = choose_alphas(spectrum, {"": centred}, folds, clip, penalties)[""]
    weights = spectrum.weights(centred, alpha) @ frame.lift
    heldout = heldout_predictions(spectrum, centred, alpha, folds) @ frame.lift
    return RidgeHead(weights.astype(np.float32), heldout.astype(np.float32), alpha)


@torch.no_grad()
def _start(module: AlignmentModule, mean: Array, frame: Frame, options: LinearHeadsOptions) -> None:
    """Store the statistics of the targets; behind ridge heads, start as their prediction."""
    module.mean.copy_(torch.from_numpy(mean))
    module.deviation.fill_(frame.scale)
    if isinstance(options, RidgeHeadsOptions):
        module.projection.weight.copy_(torch.from_numpy(frame.back().T))
        module.projection.bias.zero_()


@torch.no_grad()
def _prepare_head(
    module: AlignmentModule,
    cohort: Cohort,
    trials: Trials,
    coordinates: NDArray[np.float64],
    frame: Frame,
    options: LinearHeadsOptions,
) -> Array:
    """Give a head its statistics and, by ridge, its weights.

    Returns the cross-fitted outputs of the training trials, (training trial, dim), or an empty
    array when gradients fit the head.
    """
    training = cohort.roles(trials).training
    responses = trials.features(options.window)[training]
    statistics = Standardization.of(responses)
    module.heads.set_statistics(
        trials.subject, torch.from_numpy(statistics.mean), torch.from_numpy(statistics.scale)
    )
    if not isinstance(options, RidgeHeadsOptions):
        return np.empty((0, options.dim), dtype=np.float32)
    clips = cohort.clips[trials.study]
    group = clips.group[clips.rows(trials.clip[training])]
    head = fit_ridge_head(
        responses,
        coordinates[training],
        trials.clip[training],
        group,
        frame,
        options.ridge,
        options.seed,
    )
    linear = module.heads[trials.subject].linear
    linear.weight.copy_(torch.from_numpy(head.weights.T))
    linear.bias.zero_()
    return head.heldout


@torch.no_grad()
def _inputs(
    module: AlignmentModule,
    trials: Trials,
    roles: Roles,
    heldout: Array,
    options: LinearHeadsOptions,
) -> torch.Tensor:
    """Return what training sees of a subject: responses, or cross-fitted outputs of its head."""
    responses = torch.from_numpy(trials.features(options.window))
    if not isinstance(options, RidgeHeadsOptions):
        return responses
    module.heads.eval()
    inputs = torch.zeros(len(responses), options.dim)
    inputs[roles.validation] = module.heads({trials.subject: responses[roles.validation]})
    inputs[roles.training] = torch.from_numpy(heldout)
    module.heads.train()
    return inputs
