"""The contract of a prior: fit pairs of prediction and truth, then restore predictions.

A regressed vector is a noisy, shrunken view of the true one, and lies where no true vector lies.
What was made for true vectors, such as a generator, does not show what a linear read-out still
finds in it. A prior knows how predictions err (from pairs) and what true vectors look like (from
training clips), and returns the vector that was probably meant.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.stimuli import Array, Labels
from brainflix.components import Kind
from brainflix.config.base import parse
from brainflix.errors import ArtifactError, ConfigError, DataError
from brainflix.prior.options import PriorOptions
from brainflix.prior.storage import read_folder, write_folder

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


_ROOM = "brainflix.prior"

PRIORS: Kind[type[Prior]] = Kind(
    "prior",
    {
        "none": (f"{_ROOM}.direct:NoPrior", f"{_ROOM}.options:PriorOptions"),
        "length": (f"{_ROOM}.direct:Length", f"{_ROOM}.options:PriorOptions"),
        "empirical_bayes": (
            f"{_ROOM}.empirical_bayes:EmpiricalBayes",
            f"{_ROOM}.options:EmpiricalBayesOptions",
        ),
        "captions": (f"{_ROOM}.captions:Captions", f"{_ROOM}.options:CaptionsOptions"),
        "denoiser": (f"{_ROOM}.denoiser:Denoiser", f"{_ROOM}.options:DenoiserOptions"),
        "diffusion": (f"{_ROOM}.diffusion:Diffusion", f"{_ROOM}.options:DiffusionOptions"),
    },
)
"""From regressed vectors to those that were probably meant. A class of :class:`Prior`."""


def make_prior(kind: str, options: Mapping[str, Any] | None = None) -> Prior:
    """Return an unfitted prior of a kind; :class:`ConfigError` for unknown kinds and options."""
    section: type[PriorOptions] = PRIORS.options(kind)
    return PRIORS[kind](parse(section, dict(options or {}), where=f"prior.{kind}"))


def load_prior(folder: Path, target: TargetForm, encode: Encode | None = None) -> Prior:
    """Read a prior that :meth:`Prior.save` wrote.

    Parameters
    ----------
    folder : Path
        With ``prior.json`` and ``prior.safetensors``.
    target : TargetForm
        What it shall be applied to.
    encode : callable, optional
        The target's text encoder, for kinds that need captions.

    Raises
    ------
    ArtifactError
        When a file is missing or damaged, or the prior is of another target.
    """
    tensors, described = read_folder(folder)
    found = TargetForm(**{**described["target"], "shape": tuple(described["target"]["shape"])})
    if found != target:
        raise ArtifactError(
            "the prior was fitted on another target",
            expected=target,
            found=found,
            where=folder,
            remedy="fit a prior on this target, or apply this one to its own",
        )
    try:
        prior = make_prior(described["kind"], described["options"])
    except ConfigError as error:
        raise ArtifactError(
            "the prior is of a kind or has options that this version does not know",
            expected=f"a kind of {', '.join(PRIORS)}",
            found=str(error),
            where=folder,
            remedy="fit the prior again",
        ) from error
    if prior.needs_captions and encode is None:
        raise DataError(
            f"the prior {prior.kind!r} needs the text encoder of its target",
            expected=f"the text encoder of {target.model}",
            found="none",
            where=folder,
            remedy="pass the text encoder that the target was made with",
        )
    prior.target = target
    prior._set_state(tensors, described["facts"], encode)
    return prior


def fit_studies(
    kind: str,
    options: Mapping[str, Any],
    data: Mapping[str, tuple[Pairs, TrainingClips]],
) -> dict[str, Prior]:
    """Fit a prior for each study, or one prior for all of them, as the options say.

    Parameters
    ----------
    kind : str
        A registered kind.
    options : mapping
        Of the kind.
    data : mapping of str to (Pairs, TrainingClips)
        By study; for ``studies: together`` all of one target.

    Returns
    -------
    dict of str to Prior
        By study; the same object under each name when fitted together.
    """
    if make_prior(kind, options).options.studies == "separate":
        return {
            study: make_prior(kind, options).fit(pairs, clips)
            for study, (pairs, clips) in data.items()
        }
    first = next(iter(data.values()))[1]
    fields = ("clip", "subject", "repeats", "predicted", "true")
    every = [pairs for pairs, _ in data.values()]
    pairs = Pairs(*(np.concatenate([getattr(part, name) for part in every]) for name in fields))
    clips = TrainingClips(
        first.target,
        np.concatenate([found.values for _, found in data.values()]),
        tuple(texts for _, found in data.values() for texts in _captions(found)),
        first.encode,
    )
    return dict.fromkeys(data, make_prior(kind, options).fit(pairs, clips))


def _captions(clips: TrainingClips) -> tuple[tuple[str, ...], ...]:
    return clips.captions or ((),) * len(clips.values)
