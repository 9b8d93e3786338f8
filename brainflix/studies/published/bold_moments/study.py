"""BOLD Moments (Lahner et al. 2024, OpenNeuro ds005165): clips of 3 s, ten people."""

from __future__ import annotations

import functools
from typing import ClassVar

from pydantic import Field

from brainflix.config.base import Positive
from brainflix.studies.bids.index import BidsOptions
from brainflix.studies.bids.stimuli import StimulusTable
from brainflix.studies.bids.study import BidsStudy
from brainflix.studies.options import FormOptions
from brainflix.studies.published.bold_moments.betas import BmdFsaverage, BmdFsLR, BmdRegions
from brainflix.studies.published.bold_moments.stimuli import ANNOTATIONS, STIMULI, read_annotations
from brainflix.studies.study import StudyForms


class BmdSeriesOptions(BidsOptions, FormOptions):
    """The options of ``bids``, with the values that fit this study."""

    derivatives: str = "derivatives/versionB/fmriprep"
    train_tasks: tuple[str, ...] = ("train",)
    test_tasks: tuple[str, ...] = ("test",)
    exclude_trial_types: tuple[str, ...] = ("oddball",)
    repetition_time: Positive | None = 1.75
    stimuli: str = STIMULI
    stimuli_table: str = Field(default=ANNOTATIONS, description="the annotations, JSON")


class BmdSeries(BidsStudy):
    """fMRIPrep's time series of version B, with the annotations as the table of clips."""

    Options = BmdSeriesOptions

    @functools.cached_property
    def stimuli(self) -> StimulusTable:
        """The clips that the annotations list."""
        return read_annotations(self.stimuli_table)


class BoldMoments(StudyForms):
    """BOLD Moments in one of four forms.

    ``series`` are fMRIPrep's time series; ``fsaverage`` and ``fsLR32k`` the betas of GLMsingle on
    these surfaces; ``regions`` the same betas cut out by region, such as Group41.
    """

    FORMS: ClassVar = {
        "series": BmdSeries,
        "fsaverage": BmdFsaverage,
        "fsLR32k": BmdFsLR,
        "regions": BmdRegions,
    }
