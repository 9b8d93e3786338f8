"""One study that is published in several forms: the option ``form`` names the one on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from brainflix.config.studies import StudySource
from brainflix.errors import ConfigError
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.studies.study import Clip, Run, Study


class StudyInForms(Study):
    """Hands everything on to the reader of the form that the option ``form`` names.

    Attributes
    ----------
    FORMS : mapping of str to type of Study
        The forms; the first is the default.
    """

    FORMS: ClassVar[Mapping[str, type[Study]]]

    def __init__(self, source: StudySource) -> None:
        super().__init__(source)
        options = dict(source.options)
        name = options.pop("form", next(iter(self.FORMS)))
        if not isinstance(name, str) or name not in self.FORMS:
            raise ConfigError(
                f"unknown form of the study: {name!r}",
                expected="one of " + ", ".join(self.FORMS),
                where=f"options of study {source.root}",
            )
        self.form = self.FORMS[name](source.model_copy(update={"options": options}))

    def subjects(self) -> tuple[str, ...]:
        """Return the labels of the subjects on disk, sorted."""
        return self.form.subjects()

    def clips(self) -> Sequence[Clip]:
        """Return all clips."""
        return self.form.clips()

    def runs(self, subject: str) -> Sequence[Run]:
        """Return a subject's runs."""
        return self.form.runs(subject)

    def voxels(self, subject: str) -> VoxelSpace:
        """Return where the columns of :meth:`load` lie."""
        return self.form.voxels(subject)

    def load(self, run: Run) -> np.ndarray:
        """Return a run's responses, float32 (volume or trial, voxel)."""
        return self.form.load(run)

    def files(self, subject: str | None = None) -> list[Path]:
        """Return the files of a subject's runs, or of the stimuli."""
        return self.form.files(subject)

    def confounds(self, run: Run, names: Sequence[str]) -> np.ndarray:
        """Return columns of a run's confounds table, float64 (volume, column)."""
        return self.form.confounds(run, names)

    def notices(self, subject: str) -> tuple[str, ...]:
        """Return what a reader of a subject's results must know of its data."""
        return self.form.notices(subject)

    def frames(self, clip: Clip) -> np.ndarray | None:
        """Return a clip's frames, if the study holds them."""
        return self.form.frames(clip)
