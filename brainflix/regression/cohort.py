"""What is regressed from what: subjects with their trials, targets, and the predictions made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.predicted import Predicted as Predicted
from brainflix.artifacts.responses import Trials, Window
from brainflix.artifacts.stimuli import Array, Clips, Labels
from brainflix.errors import DataError


@dataclass(frozen=True)
class SharedTrials:
    """A subject's trials as the alignment placed them.

    Parameters
    ----------
    trials : Trials
        Responses and labels.
    shared, input : ndarray of float32, shape (trial, ...), or None
        Behind the shared layers, and behind the subject's own; None without an alignment, or where
        the brain encoder has none.
    """

    trials: Trials
    shared: Array | None = None
    input: Array | None = None


@dataclass(frozen=True)
class TargetCohort:
    """Subjects that are regressed together.

    Parameters
    ----------
    subjects : dict of str to SharedTrials
        By "study/subject".
    clips : dict of str to Clips
        By study.
    targets : dict of str to dict of str to ndarray of float32, shape (clip, ...)
        By study and target, in the order of the study's clips.
    validation : dict of str to ndarray of str
        By study, the validation clips; the alignment's where there is one.
    window : {"flatten", "mean"}
        How responses become rows for ridge.
    restorable : tuple of str
        Targets that a prior restores: a regressor leaves unstretched predictions of
        them, :class:`brainflix.artifacts.restorable.Restorable`.

    Raises
    ------
    DataError
        When a target's shape differs between studies.
    """

    subjects: dict[str, SharedTrials]
    clips: dict[str, Clips]
    targets: dict[str, dict[str, Array]]
    validation: dict[str, Labels]
    window: Window = "flatten"
    restorable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = {name for values in self.targets.values() for name in values}
        for name in sorted(names):
            shapes = {study: values[name].shape[1:] for study, values in self.targets.items()}
            if len(set(shapes.values())) > 1:
                raise DataError(
                    f"the target {name} has different shapes in different studies",
                    expected="one encoder and model for all studies",
                    found=shapes,
                    remedy="compute the target of all studies by the same model",
                )

    def fitted(self, study: str) -> NDArray[np.bool_]:
        """Return which clips of a study train and do not validate, shape (clip,)."""
        clips = self.clips[study]
        return clips.training & ~np.isin(clips.clip, self.validation[study])
