"""Alignment in memory: from the trials of some subjects to their places in the shared space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from brainflix.alignment.batches import SubjectRows
from brainflix.alignment.data import PooledTrials
from brainflix.alignment.frame import Frame, fit_ridge_head, make_frame
from brainflix.alignment.linear import Standardization
from brainflix.alignment.module import AlignmentModule
from brainflix.alignment.optimization import Curves, FitPlan, fit
from brainflix.alignment.split import validation_clips
from brainflix.alignment.trials import Array, Clips, Labels, Trials, check_trials
from brainflix.config import AlignmentConfig
from brainflix.errors import DataError

_CHUNK = 4096  # trials encoded at a time


@dataclass(frozen=True)
class Cohort:
    """Subjects that are fitted together.

    Parameters
    ----------
    trials : dict of str to Trials
        By "study/subject".
    clips : dict of str to Clips
        By study.
    embeddings : dict of str to ndarray of float32, shape (clip, embedding dim)
        By study, in the order of its clips.
    validation : dict of str to ndarray of str
        By study, its validation clips.

    Raises
    ------
    DataError
        When embeddings of studies differ in length, or a subject cannot be fitted.
    """

    trials: dict[str, Trials]
    clips: dict[str, Clips]
    embeddings: dict[str, Array]
    validation: dict[str, Labels]

    def __post_init__(self) -> None:
        shapes = {study: values.shape[1:] for study, values in self.embeddings.items()}
        if len(set(shapes.values())) > 1:
            raise DataError(
                "the studies' targets have different shapes",
                expected="one encoder and model for all studies",
                found=shapes,
                remedy="compute the target of all studies by the same model",
            )
        for trials in self.trials.values():
            check_trials(trials, self.clips[trials.study])
            if not len(self.roles(trials).training):
                raise DataError(
                    f"the subject {trials.subject} has no training trials beside validation",
                    expected="training trials of at least two groups (runs, segments) of clips",
                    found=f"{int(trials.training.sum())} trials, all of validation clips",
                    remedy="lower alignment.validation_fraction, change its seed, or leave the "
                    "subject out",
                )

    def roles(self, trials: Trials) -> Roles:
        """Return which trials of a subject train, validate and test."""
        held = np.isin(trials.clip, self.validation[trials.study]) & trials.training
        return Roles(
            training=np.flatnonzero(trials.training & ~held),
            validation=np.flatnonzero(held),
            test=np.flatnonzero(~trials.training),
        )

    def table(self) -> tuple[dict[str, int], Array, NDArray[np.bool_]]:
        """Put the studies' embeddings below each other.

        Returns
        -------
        offset : dict of str to int
            The first row of each study.
        values : ndarray of float32, shape (clip, embedding dim)
            Of unit length.
        fitted : ndarray of bool, shape (clip,)
            Training clips that do not validate.
        """
        offset, rows, fitted, first = {}, [], [], 0
        for study, clips in self.clips.items():
            values = self.embeddings[study].reshape(len(clips.clip), -1)
            length = np.linalg.norm(values, axis=1, keepdims=True)
            rows.append(values / np.maximum(length, 1e-12))
            fitted.append(clips.training & ~np.isin(clips.clip, self.validation[study]))
            offset[study] = first
            first += len(values)
        return offset, np.concatenate(rows), np.concatenate(fitted)


@dataclass(frozen=True)
class Roles:
    """Trials of a subject by what they are used for, each an ndarray of int64, shape (trial,)."""

    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    test: NDArray[np.int64]


@dataclass(frozen=True)
class Placed:
    """A subject's trials in the shared space, each a float32 array (trial, ...).

    Parameters
    ----------
    input : ndarray, shape (trial, dim)
        Output of the subject's head.
    shared : ndarray, shape (trial, dim)
    embedding : ndarray, shape (trial, embedding dim)
    """

    input: Array
    shared: Array
    embedding: Array


def choose_validation(clips: Mapping[str, Clips], options: AlignmentConfig) -> dict[str, Labels]:
    """Choose the validation clips of each study."""
    return {
        study: validation_clips(found, options.validation_fraction, options.seed)
        for study, found in clips.items()
    }


def align_cohort(
    cohort: Cohort, options: AlignmentConfig, folder: Path, name: str
) -> tuple[dict[str, Placed], Curves]:
    """Fit one model of all subjects of a cohort and place all of their trials.

    Training trials of ridge heads are placed by their cross-fitted coordinates; validation and
    test trials always by the final heads.

    Parameters
    ----------
    cohort : Cohort
        Subjects, clips, embeddings and validation clips.
    options : AlignmentConfig
        The section; ``pooling`` is not looked at.
    folder : Path
        Receives ``{name}.ckpt`` and ``logs/{name}``.
    name : str
        Of the model.

    Returns
    -------
    placed : dict of str to Placed
        By subject.
    curves : Curves
        Of the fit.
    """
    offset, table, fitted = cohort.table()
    mean = table[fitted].mean(axis=0, dtype=np.float64).astype(np.float32)
    centred = table - mean
    torch.manual_seed(options.seed)
    features = {subject: t.responses.shape[1] for subject, t in cohort.trials.items()}
    module = AlignmentModule(features, table.shape[1], options.model_dump(mode="json"))
    frame = make_frame(centred[fitted], options.dim, options.seed)
    _start(module, mean, frame, options)
    heldout: dict[str, Array] = {}
    rows: dict[str, SubjectRows] = {}
    for subject, trials in cohort.trials.items():
        clip = offset[trials.study] + cohort.clips[trials.study].rows(trials.clip)
        roles = cohort.roles(trials)
        heldout[subject] = _prepare_head(
            module, cohort, trials, frame.coordinates(centred[clip]), frame, options
        )
        rows[subject] = SubjectRows(
            _inputs(module, trials, roles, heldout[subject], options),
            clip,
            roles.training,
            roles.validation,
        )
    data = PooledTrials(rows, torch.from_numpy(table), options.batch_size, options.seed)
    plan = FitPlan(
        options.max_epochs, options.patience, options.precision, options.seed, options.accumulate
    )
    checkpoint, curves = fit(module, data, plan, folder, name)
    best = AlignmentModule.load_from_checkpoint(checkpoint, map_location="cpu", weights_only=True)
    placed = {
        subject: place(best, trials, cohort.roles(trials).training, heldout[subject])
        for subject, trials in cohort.trials.items()
    }
    return placed, curves


@torch.no_grad()
def _start(module: AlignmentModule, mean: Array, frame: Frame, options: AlignmentConfig) -> None:
    """Store the statistics of the targets; behind ridge heads, start as their prediction."""
    module.mean.copy_(torch.from_numpy(mean))
    module.deviation.fill_(frame.scale)
    if options.heads == "ridge":
        module.projection.weight.copy_(torch.from_numpy(frame.back().T))
        module.projection.bias.zero_()


@torch.no_grad()
def _prepare_head(
    module: AlignmentModule,
    cohort: Cohort,
    trials: Trials,
    coordinates: NDArray[np.float64],
    frame: Frame,
    options: AlignmentConfig,
) -> Array:
    """Give a head its statistics and, by ridge, its weights.

    Returns the cross-fitted outputs of the training trials, (training trial, dim), or an empty
    array when gradients fit the head.
    """
    training = cohort.roles(trials).training
    responses = trials.responses[training]
    statistics = Standardization.of(responses)
    module.heads.set_statistics(
        trials.subject, torch.from_numpy(statistics.mean), torch.from_numpy(statistics.scale)
    )
    if options.heads == "gradient":
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
    options: AlignmentConfig,
) -> torch.Tensor:
    """Return what training sees of a subject: responses, or cross-fitted outputs of its head."""
    responses = torch.from_numpy(trials.responses)
    if options.heads == "gradient":
        return responses
    module.heads.eval()
    inputs = torch.zeros(len(responses), options.dim)
    inputs[roles.validation] = module.heads({trials.subject: responses[roles.validation]})
    inputs[roles.training] = torch.from_numpy(heldout)
    module.heads.train()
    return inputs


@torch.no_grad()
def place(
    module: AlignmentModule, trials: Trials, training: NDArray[np.int64], heldout: Array
) -> Placed:
    """Encode all trials of a subject.

    Parameters
    ----------
    module : AlignmentModule
        Fitted.
    trials : Trials
    training : ndarray of int64
        Rows that are placed by ``heldout``.
    heldout : ndarray of float32, shape (training trial, dim)
        Cross-fitted outputs of the head; empty when there are none.
    """
    module.eval()
    parts = []
    for first in range(0, len(trials.responses), _CHUNK):
        rows = torch.from_numpy(trials.responses[first : first + _CHUNK])
        parts.append(module.heads({trials.subject: rows}))
    inputs = torch.cat(parts)  # (trial, feature) -> (trial, dim)
    if len(heldout):
        inputs[torch.from_numpy(training)] = torch.from_numpy(heldout)
    encoded = module.encode(inputs)
    return Placed(*(part.numpy() for part in (inputs, encoded.shared, encoded.embedding)))
