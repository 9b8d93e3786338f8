"""The contract of a prior: fit pairs of prediction and truth, then restore predictions.

A regressed vector is a noisy, shrunken view of the true one, and lies where no true vector lies.
What was made for true vectors, such as a generator, does not show what a linear read-out still
finds in it. A prior knows how predictions err (from pairs) and what true vectors look like (from
training clips), and returns the vector that was probably meant.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from brainflix.artifacts.stimuli import Array
from brainflix.errors import DataError
from brainflix.prior.data import Encode, Pairs, TargetForm, Tensors, TrainingClips
from brainflix.prior.options import PriorOptions
from brainflix.prior.storage import write_folder


class Prior(ABC):
    """A prior of one target.

    Parameters
    ----------
    options : PriorOptions
        Of the kind's own class, see :attr:`Options`.

    Attributes
    ----------
    target : TargetForm or None
        What it was fitted on.
    checkpoint : Path or None
        Where a kind that trains a network keeps its state while it trains, and goes on from; set it
        before a fit that may be interrupted.
    """

    kind: ClassVar[str]
    Options: ClassVar[type[PriorOptions]]
    needs_captions: bool = False
    restores: ClassVar[bool] = True
    """False where predictions stay as they were regressed, and nothing has to be fitted."""

    def __init__(self, options: PriorOptions) -> None:
        self.options = options
        self.target: TargetForm | None = None
        self.checkpoint: Path | None = None

    @abstractmethod
    def _fit(self, pairs: Pairs, clips: TrainingClips) -> None:
        """Fit the kind's own state."""

    @abstractmethod
    def _restore(self, prediction: Array, repeats: int, seed: int) -> Array:
        """Restore one clip's vector, shape (...) in and out."""

    @abstractmethod
    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        """Return what was fitted: arrays, and what JSON holds."""

    @abstractmethod
    def _set_state(self, tensors: Tensors, facts: dict[str, Any], encode: Encode | None) -> None:
        """Take back what :meth:`_state` returned."""

    def fit(self, pairs: Pairs, clips: TrainingClips) -> Self:
        """Fit to pairs of prediction and truth and to training clips; labels are never used.

        Parameters
        ----------
        pairs : Pairs
            Cross-fitted predictions, or those of validation clips. The network's predictions of
            clips that it was fitted on err too little to say how it errs.
        clips : TrainingClips
            Without test clips, and without the clips of the pairs.

        Raises
        ------
        DataError
            When there are too few pairs, another shape, or no captions where the kind needs them.
        """
        self._check_inputs(pairs, clips)
        self.target = clips.target
        self._fit(pairs, clips)
        return self

    def _check_inputs(self, pairs: Pairs, clips: TrainingClips) -> None:
        if pairs.predicted.shape[1:] != clips.target.shape:
            raise DataError(
                f"predictions have another shape than the target {clips.target.name}",
                expected=clips.target.shape,
                found=pairs.predicted.shape[1:],
                where="pairs of the prior",
                remedy="pair predictions and values of the same target",
            )
        if self.needs_captions and (not any(clips.captions) or clips.encode is None):
            raise DataError(
                f"the prior {self.kind!r} needs captions of training clips and their text encoder",
                expected=f"captions, and a target that encodes them ({clips.target.name})",
                found=f"{sum(map(bool, clips.captions))} clips with captions, "
                f"{'a' if clips.encode else 'no'} text encoder",
                where="prior.kind",
                remedy="choose a prior that needs no captions, such as empirical_bayes with "
                "atoms: clips, or give the study captions",
            )

    def apply(
        self, predictions: Array, repeats: int = 1, seeds: Sequence[int] | None = None
    ) -> Array:
        """Restore predictions, one clip at a time: none depends on the others of its batch.

        Parameters
        ----------
        predictions : ndarray of float32, shape (clip, ...)
            As regressed, averaged over ``repeats`` trials.
        repeats : int
            Trials averaged in each prediction.
        seeds : sequence of int, optional
            One for each clip, for kinds that draw; None: the section's seed for all.

        Returns
        -------
        ndarray of float32, same shape

        Raises
        ------
        DataError
            Before a fit, for another shape, or for values that are not finite.
        """
        target = self._fitted_target()
        if predictions.shape[1:] != target.shape:
            raise DataError(
                f"predictions do not have the shape that the prior was fitted to ({target.name})",
                expected=target.shape,
                found=predictions.shape[1:],
                where=f"prior {self.kind!r}",
                remedy="apply the prior to the target that it was fitted on",
            )
        if repeats < 1 or not np.isfinite(predictions).all():
            raise DataError(
                "predictions cannot be restored",
                expected="finite numbers, averaged over at least one trial",
                found=f"{repeats} repeats" if repeats < 1 else "NaN or infinity",
                where=f"prior {self.kind!r}",
                remedy="run the stage regress again",
            )
        drawn = [self.options.seed] * len(predictions) if seeds is None else list(seeds)
        restored = np.empty(predictions.shape, dtype=np.float32)
        for row, seed in zip(range(len(predictions)), drawn, strict=True):
            vector = np.ascontiguousarray(predictions[row], dtype=np.float32)
            restored[row] = self._restore(vector, int(repeats), int(seed))
        return restored

    def _fitted_target(self) -> TargetForm:
        if self.target is None:
            raise DataError(
                f"the prior {self.kind!r} has not been fitted",
                expected="a call of fit, or a prior that load returned",
                found="neither",
                where="prior",
                remedy="fit the prior first",
            )
        return self.target

    def save(self, folder: Path) -> None:
        """Write the prior as ``prior.safetensors`` and ``prior.json``; the same prior, same bytes.

        Raises
        ------
        DataError
            Before a fit.
        """
        target = self._fitted_target()
        tensors, facts = self._state()
        described = {
            "kind": self.kind,
            "options": self.options.model_dump(mode="json"),
            "target": {**target.__dict__, "shape": list(target.shape)},
            "facts": facts,
        }
        write_folder(folder, tensors, described)
