"""Alignment in memory: from the trials of some subjects to their places in the shared space."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from brainflix.alignment.linear_heads import (
    _inputs,
    _prepare_head,
    _start,
    make_frame,
)
from brainflix.alignment.module import AlignmentModule
from brainflix.artifacts.responses import Trials
from brainflix.artifacts.stimuli import Array
from brainflix.config.recipe import AlignmentConfig
from brainflix.learning.batches import PooledTrials, SubjectRows
from brainflix.learning.cohort import Cohort
from brainflix.learning.training import Curves, FitPlan, fit

_CHUNK = 4096  # trials encoded at a time


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
