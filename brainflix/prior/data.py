"""What priors are fitted to: which target, pairs of prediction and truth, and training clips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.stimuli import Array, Labels
from brainflix.errors import DataError

Encode = Callable[[Sequence[str]], Array]
"""Sentences to the target's vectors, float32 (sentence, ...): the text encoder of the target."""

Tensors = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class TargetForm:
    """Which target a prior is for.

    Parameters
    ----------
    name : str
        The target's name in the configuration.
    encoder, model : str
        What computed it.
    shape : tuple of int
        Of one clip's vector: (dim,), (token, dim) or any other.
    """

    name: str
    encoder: str
    model: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Pairs:
    """Predictions beside the truth, of clips that the regression was not fitted on.

    Rows of the same subject and clip are its repeats. Give single trials where there are any:
    their spread within a clip tells noise that averaging removes from error that it does not.

    Parameters
    ----------
    clip, subject : ndarray of str, shape (pair,)
        Whose prediction of what.
    repeats : ndarray of int64, shape (pair,)
        Trials that a prediction averages; 1 for a single trial.
    predicted, true : ndarray of float32, shape (pair, ...)
        In the target's own units, as regressed: not stretched to any length.

    Raises
    ------
    DataError
        When lengths or shapes differ, or a value is not finite.
    """

    clip: Labels
    subject: Labels
    repeats: NDArray[np.int64]
    predicted: Array
    true: Array

    def __post_init__(self) -> None:
        counts = [len(part) for part in (self.clip, self.subject, self.repeats, self.true)]
        if set(counts) != {len(self.predicted)} or self.predicted.shape != self.true.shape:
            raise DataError(
                "predictions and truths of a prior do not belong together",
                expected=f"{self.predicted.shape} of each, with clip, subject and repeats",
                found=f"truths {self.true.shape}; {counts} clips, subjects, repeats, truths",
                where="pairs",
                remedy="pair each prediction with the target of its own clip",
            )
        if not (np.isfinite(self.predicted).all() and np.isfinite(self.true).all()):
            raise DataError(
                "pairs of prediction and truth are not finite",
                expected="finite numbers",
                found="NaN or infinity",
                where="pairs",
                remedy="run the stage regress again",
            )

    def __len__(self) -> int:
        return len(self.predicted)

    def take(self, rows: NDArray[Any]) -> Pairs:
        """Return some of the pairs, by index or mask."""
        parts = (self.clip, self.subject, self.repeats, self.predicted, self.true)
        return Pairs(*(part[rows] for part in parts))


@dataclass(frozen=True)
class TrainingClips:
    """What true vectors look like: training clips, without the clips of the pairs.

    Parameters
    ----------
    target : TargetForm
        Which target.
    values : ndarray of float32, shape (clip, ...)
        The target of each training clip.
    captions : tuple of tuple of str, optional
        Captions of each clip; empty where the clips have none.
    encode : callable, optional
        The target's text encoder; None where the target does not come from captions.

    Raises
    ------
    DataError
        Without clips, when values have another shape than the target, or captions are of other
        clips.
    """

    target: TargetForm
    values: Array
    captions: tuple[tuple[str, ...], ...] = ()
    encode: Encode | None = None

    def __post_init__(self) -> None:
        if not len(self.values) or self.values.shape[1:] != self.target.shape:
            raise DataError(
                f"training clips do not fit the target {self.target.name}",
                expected=f"(clip, {', '.join(map(str, self.target.shape))}), at least one clip",
                found=self.values.shape,
                where="training clips of the prior",
                remedy="read values and shape from the same target artifact",
            )
        if self.captions and len(self.captions) != len(self.values):
            raise DataError(
                "captions are of other clips than the values",
                expected=f"captions of {len(self.values)} clips",
                found=f"{len(self.captions)} clips",
                where="training clips of the prior",
                remedy="read captions and values in the order of the same clips",
            )
