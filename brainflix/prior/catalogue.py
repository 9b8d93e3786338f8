"""How a prior of a kind is made, read back, and fitted to studies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.components import PRIORS
from brainflix.config.base import parse
from brainflix.errors import ArtifactError, ConfigError, DataError
from brainflix.prior.base import Prior
from brainflix.prior.data import Encode, Pairs, TargetForm, TrainingClips
from brainflix.prior.options import PriorOptions
from brainflix.prior.storage import read_folder


def make_prior(kind: str, options: Mapping[str, Any] | None = None) -> Prior:
    """Return an unfitted prior of a kind; :class:`ConfigError` for unknown kinds and options."""
    section: type[PriorOptions] = PRIORS.options(kind)
    component: type[Prior] = PRIORS[kind]
    return component(parse(section, dict(options or {}), where=f"prior.{kind}"))


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
