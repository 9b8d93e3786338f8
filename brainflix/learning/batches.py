"""Batches that hold every subject in proportion."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import lightning
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Index = NDArray[np.int64]


@dataclass
class TrialBatch:
    """Trials of several subjects and the clips they show.

    Parameters
    ----------
    rows : dict of str to Tensor, shape (trial of the subject, feature), float32
        A subject's inputs, in the order of ``clip``.
    clip : Tensor of int64, shape (trial,)
        The row of ``targets`` that each trial shows.
    targets : Tensor, shape (clip, dim), float32
        One row for each different clip of the batch.
    """

    rows: dict[str, Tensor]
    clip: Tensor
    targets: Tensor


@dataclass(frozen=True)
class SubjectRows:
    """What a subject brings to training.

    Parameters
    ----------
    rows : Tensor, shape (trial, feature), float32
        Inputs.
    clip : ndarray of int64, shape (trial,)
        Row of the table of targets.
    training, validation : ndarray of int64
        Which trials train and which validate.
    """

    rows: Tensor
    clip: Index
    training: Index
    validation: Index


def proportional_batches(
    counts: Sequence[int], batch_size: int, rng: np.random.Generator
) -> list[list[Index]]:
    """Deal every subject's trials evenly over the batches of an epoch.

    Parameters
    ----------
    counts : sequence of int
        Trials a subject.
    batch_size : int
        Trials a batch, over all subjects; batches are no larger and of like size.
    rng : numpy.random.Generator
        Of the order.

    Returns
    -------
    list of list of ndarray of int64
        For each batch, each subject's trials. Over the batches, each trial occurs once, and a
        subject's share of a batch differs from its share of all trials by less than one trial.
    """
    n_batches = max(1, -(-sum(counts) // batch_size))
    batches: list[list[Index]] = [[] for _ in range(n_batches)]
    shift = 0
    for count in counts:
        cuts = (np.arange(n_batches + 1) * count) // n_batches
        sizes = np.roll(np.diff(cuts), shift)
        shift = (shift + count) % n_batches  # spread the odd trials of the subjects
        order = rng.permutation(count)
        for batch, part in zip(batches, np.split(order, np.cumsum(sizes)[:-1]), strict=True):
            batch.append(part)
    return [batches[k] for k in rng.permutation(n_batches)]


class TrialLoader:
    """Iterates over training batches in memory, in an order that depends on seed and epoch alone.

    Parameters
    ----------
    subjects : mapping of str to SubjectRows
        What each subject brings.
    targets : Tensor, shape (clip, dim)
        The table of targets, over the clips of all studies.
    batch_size : int
        Trials a batch, over all subjects.
    seed : int
        Of the order.
    """

    def __init__(
        self, subjects: Mapping[str, SubjectRows], targets: Tensor, batch_size: int, seed: int
    ) -> None:
        self.subjects, self.targets = subjects, targets
        self.batch_size, self.seed, self.epoch = batch_size, seed, 0

    def __len__(self) -> int:
        total = sum(len(part.training) for part in self.subjects.values())
        return max(1, -(-total // self.batch_size))

    def __iter__(self) -> Iterator[TrialBatch]:
        rng = np.random.default_rng([self.seed, self.epoch])
        self.epoch += 1
        counts = [len(part.training) for part in self.subjects.values()]
        for parts in proportional_batches(counts, self.batch_size, rng):
            chosen = {
                name: part.training[order]
                for (name, part), order in zip(self.subjects.items(), parts, strict=True)
            }
            yield collate(self.subjects, self.targets, chosen)


class ValidationLoader:
    """Iterates over the subjects: one batch holds all validation trials of one."""

    def __init__(self, subjects: Mapping[str, SubjectRows], targets: Tensor) -> None:
        self.subjects, self.targets = subjects, targets

    def __len__(self) -> int:
        return len(self.subjects)

    def __iter__(self) -> Iterator[TrialBatch]:
        for name, part in self.subjects.items():
            yield collate(self.subjects, self.targets, {name: part.validation})


def collate(
    subjects: Mapping[str, SubjectRows], targets: Tensor, chosen: Mapping[str, Index]
) -> TrialBatch:
    """Gather some trials of some subjects; subjects without any are left out."""
    present = {name: index for name, index in chosen.items() if len(index)}
    clips = np.concatenate([subjects[name].clip[index] for name, index in present.items()])
    unique, place = np.unique(clips, return_inverse=True)
    return TrialBatch(
        rows={name: subjects[name].rows[torch.from_numpy(i)] for name, i in present.items()},
        clip=torch.from_numpy(place.astype(np.int64)),
        targets=targets[torch.from_numpy(unique)],
    )


class PooledTrials(lightning.LightningDataModule):
    """Batches of all subjects for training, a batch a subject for validation.

    Everything is in memory, so there are no worker processes.

    Parameters
    ----------
    subjects : mapping of str to SubjectRows
        What each subject brings.
    targets : Tensor, shape (clip, dim), float32
        The table of targets over the clips of all studies.
    batch_size : int
        Trials a training batch, over all subjects.
    seed : int
        Of the order of trials.
    """

    def __init__(
        self, subjects: Mapping[str, SubjectRows], targets: Tensor, batch_size: int, seed: int
    ) -> None:
        super().__init__()
        self.subjects, self.targets = dict(subjects), targets
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> TrialLoader:
        """Return the training batches."""
        return TrialLoader(self.subjects, self.targets, self.batch_size, self.seed)

    def val_dataloader(self) -> ValidationLoader:
        """Return each subject's validation trials."""
        return ValidationLoader(self.subjects, self.targets)
