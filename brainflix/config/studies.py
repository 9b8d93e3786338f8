"""Sections of a study: where it lies, how it is simulated, decoded and preprocessed."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from brainflix.config.base import Fraction, Name, Positive, Section


class SimulationConfig(Section):
    """A simulated study, written as files by ``brainflix simulate``."""

    kind: Literal["movie", "event_related"] = "movie"
    voxels: int = Field(default=2400, ge=64, description="mean number of brain voxels a subject")
    train_runs: int = Field(default=18, ge=2, description="training runs (clip sets)")
    train_clips_per_run: int = Field(default=50, ge=4)
    train_repeats: int = Field(default=2, ge=1)
    test_clips: int = Field(default=40, ge=2, description="test clips, in one run a repeat")
    test_repeats: int = Field(default=10, ge=1)
    repetition_time: Positive = Field(default=2.0, description="TR in s")
    noise: Positive = Field(default=1.0, description="scales the noise; 1 is like 3 T data")
    seed: int = Field(default=0, ge=0)


class CleaningConfig(Section):
    """From a run's file to z-scored rows."""

    trim_start: int = Field(default=0, ge=0, description="volumes dropped at the start")
    trim_end: int = Field(default=0, ge=0, description="volumes dropped at the end")
    detrend_order: int = Field(default=4, ge=0, description="order of the polynomial removed")
    confounds: tuple[str, ...] = Field(default=(), description="columns of the confounds table")
    standardize: bool = Field(default=True, description="z-score a voxel and run")


class SelectionConfig(Section):
    """Which voxels are kept, judged on repeats of training runs alone."""

    method: Literal["reproducibility", "all"] = "reproducibility"
    correction: Literal["fdr", "bonferroni", "none"] = "fdr"
    alpha: Fraction = 0.01
    fraction: float | None = Field(
        default=None, gt=0, le=1, description="keep the most significant fraction of the passed"
    )
    atlas: str | None = Field(
        default=None,
        description="hcp_mmp, yeo7 or yeo17 (fsLR-32k), or a label file: NIfTI on the voxels' "
        "grid, dlabel.nii, or label.gii with {hemi} for L and R",
    )
    regions: tuple[str | int, ...] = Field(
        default=(),
        description="labels of the atlas to keep; brain_netflix: the 41 areas of that paper",
    )
    delay: float | None = Field(
        default=None, ge=0, description="delay in s of the judged responses; None: that of response"
    )
    window: int | None = Field(
        default=None, ge=1, description="volumes averaged in a judged response; None: of response"
    )


class ResponseConfig(Section):
    """Where in time a clip's response is read."""

    delay: float = Field(default=4.0, ge=0, description="haemodynamic delay in s")
    window: int = Field(default=2, ge=1, description="volumes a response holds")


class PreprocessingConfig(Section):
    """From BOLD runs to responses."""

    cleaning: CleaningConfig = CleaningConfig()
    selection: SelectionConfig = SelectionConfig()
    response: ResponseConfig = ResponseConfig()

    @model_validator(mode="after")
    def _selection_follows_response(self) -> PreprocessingConfig:
        """Judge voxels on the responses that are extracted, unless selection says otherwise."""
        missing = {
            key: getattr(self.response, key)
            for key in ("delay", "window")
            if getattr(self.selection, key) is None
        }
        if missing:
            selection = self.selection.model_copy(update=missing)
            object.__setattr__(self, "selection", selection)  # the section is frozen
        return self


class StudySource(Section):
    """Where a study lies and the reader that understands its layout."""

    reader: str = Field(default="bids", description="registered study reader")
    root: str = Field(description="folder (or file) of the study")
    options: dict[str, Any] = Field(default_factory=dict, description="the reader's own options")
    links_to: tuple[str, ...] = Field(
        default=(), description="folders outside the root that links in the study may lead to"
    )


class StudyConfig(StudySource):
    """A study, its subjects, and how their runs become responses."""

    subjects: tuple[Name, ...] = Field(min_length=1, description="subject labels, such as sub-01")
    preprocessing: PreprocessingConfig = PreprocessingConfig()
    simulation: SimulationConfig | None = Field(
        default=None, description="write this study by simulation before it is read"
    )


class StimuliConfig(Section):
    """The form in which clips are decoded."""

    frames: int = Field(default=8, ge=1, description="frames a clip, evenly spaced in time")
    height: int = Field(default=64, ge=8)
    width: int = Field(default=64, ge=8)
