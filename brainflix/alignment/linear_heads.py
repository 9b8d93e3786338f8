"""Linear heads and shared layers: the brain encoder of Brain Netflix, by ridge or by gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from brainflix.alignment.encoder import BrainEncoder, Placed
from brainflix.alignment.frame import (
    _inputs,
    _prepare_head,
    _start,
    make_frame,
)
from brainflix.alignment.module import AlignmentModule
from brainflix.alignment.options import LinearHeadsOptions
from brainflix.artifacts.stimuli import Array
from brainflix.learning.batches import PooledTrials, SubjectRows
from brainflix.learning.cohort import Cohort
from brainflix.learning.training import Curves, FitPlan, fit

_CHUNK = 4096  # trials encoded at a time


class LinearHeads(BrainEncoder):
    """A linear head per subject, shared residual blocks, and a projection to the target.

    The options say how the heads are fitted: :class:`RidgeHeadsOptions` or
    :class:`GradientHeadsOptions`.
    """

    options: LinearHeadsOptions

    def fit(self, cohort: Cohort, folder: Path, name: str) -> tuple[dict[str, Placed], Curves]:
        """Fit on a cohort's training trials and encode all of its trials."""
        return align_cohort(cohort, self.options, folder, name)

    @classmethod
    def load(cls, folder: Path, name: str) -> LinearHeads:
        """Read the checkpoint that :meth:`fit` left."""
        module = AlignmentModule.load_from_checkpoint(
            folder / f"{name}.ckpt", map_location="cpu", weights_only=True
        )
        encoder = cls(module.options)
        encoder.module = module
        return encoder

    module: AlignmentModule

    def encode(self, subject: str, responses: Array) -> Placed:
        """Encode trials of a fitted subject, responses (trial, window, voxel)."""
        rows = responses.reshape(len(responses), -1)
        if self.options.window == "mean":
            rows = responses.mean(axis=1, dtype=np.float64).astype(np.float32)
        none = np.empty(0, np.int64)
        return place(self.module, subject, rows, none, np.empty((0, 0), np.float32))


def align_cohort(
    cohort: Cohort, options: LinearHeadsOptions, folder: Path, name: str
) -> tuple[dict[str, Placed], Curves]:
    """Fit one model of all subjects of a cohort and place all of their trials.

    Training trials of ridge heads are placed by their cross-fitted coordinates; validation and
    test trials always by the final heads.

    Parameters
    ----------
    cohort : Cohort
        Subjects, clips, embeddings and validation clips.
    options : LinearHeadsOptions
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
    features = {
        subject: t.features(options.window).shape[1] for subject, t in cohort.trials.items()
    }
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
        subject: place(
            best,
            subject,
            trials.features(options.window),
            cohort.roles(trials).training,
            heldout[subject],
        )
        for subject, trials in cohort.trials.items()
    }
    return placed, curves


@torch.no_grad()
def place(
    module: AlignmentModule,
    subject: str,
    responses: Array,
    training: NDArray[np.int64],
    heldout: Array,
) -> Placed:
    """Encode all trials of a subject.

    Parameters
    ----------
    module : AlignmentModule
        Fitted.
    subject : str
        "study/subject".
    responses : ndarray of float32, shape (trial, feature)
    training : ndarray of int64
        Rows that are placed by ``heldout``.
    heldout : ndarray of float32, shape (training trial, dim)
        Cross-fitted outputs of the head; empty when there are none.
    """
    module.eval()
    parts = []
    for first in range(0, len(responses), _CHUNK):
        rows = torch.from_numpy(np.ascontiguousarray(responses[first : first + _CHUNK]))
        parts.append(module.heads({subject: rows}))
    inputs = torch.cat(parts)  # (trial, feature) -> (trial, dim)
    if len(heldout):
        inputs[torch.from_numpy(training)] = torch.from_numpy(heldout)
    encoded = module.encode(inputs)
    return Placed(encoded.shared.numpy(), encoded.embedding.numpy(), inputs.numpy())
