"""What a regressor is: from the shared space, or from responses, to targets of test trials."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from brainflix.config.recipe import RegressionConfig
from brainflix.learning.training import Curves
from brainflix.regression.cohort import Predicted, TargetCohort


class Regressor(ABC):
    """Fitted on the training trials of a cohort; predicts the targets of its test trials.

    Parameters
    ----------
    options : RegressionConfig
        The section of the component: an instance of its own options.
    """

    def __init__(self, options: RegressionConfig) -> None:
        self.options = options

    @abstractmethod
    def fit(
        self, cohort: TargetCohort, folder: Path, name: str
    ) -> tuple[dict[str, Predicted], Curves]:
        """Fit on a cohort's training trials and predict its test trials.

        Parameters
        ----------
        cohort : TargetCohort
            Trials with responses and the voxels' places; their places in the shared space, where
            the path has an alignment; clips, targets and validation clips. Where ``restorable``
            names targets, predictions of them have :attr:`Predicted.restorable`.
        folder : Path
            Receives checkpoints and logs.
        name : str
            Name of the model, and stem of its files.

        Returns
        -------
        predicted : dict of str to Predicted
            By "study/subject".
        curves : Curves
            Training curves, with at least ``validation_loss``.
        """
