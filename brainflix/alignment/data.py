"""The alignment's data module: all subjects' trials in memory, one table of embeddings."""

from __future__ import annotations

from collections.abc import Mapping

import lightning
from torch import Tensor

from brainflix.alignment.batches import SubjectRows, TrialLoader, ValidationLoader


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
