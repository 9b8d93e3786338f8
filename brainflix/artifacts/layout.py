"""Where every artifact of a run lies: the one place that says so, for rules and stages alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from brainflix.artifacts.models import MODEL
from brainflix.config.base import Section
from brainflix.config.experiment import MAIN, Config
from brainflix.config.recipe import InputConfig
from brainflix.config.resolution import MADE

S = TypeVar("S", bound=Section)

VIDEOS = "videos"
"""Place of the generator whose videos are evaluated."""


@dataclass(frozen=True)
class Layout:
    """Paths of the artifacts of a configuration.

    Attributes
    ----------
    config : Config
        The validated configuration.
    """

    config: Config

    @property
    def results(self) -> Path:
        """The folder of everything."""
        return Path(self.config.results)

    # Studies and their subjects

    def stimuli(self, study: str) -> Path:
        """Return a study's clips."""
        return self.results / study / "stimuli.h5"

    def target(self, study: str, target: str) -> Path:
        """Return a target of a study's clips."""
        return self.results / study / "targets" / f"{target}.h5"

    def cleaned(self, study: str, subject: str) -> Path:
        """Return a subject's cleaned runs."""
        return self.results / study / subject / "cleaned.h5"

    def voxels(self, study: str, subject: str) -> Path:
        """Return a subject's voxel selection."""
        return self.results / study / subject / "voxels.h5"

    def voxel_plot(self, study: str, subject: str) -> Path:
        """Return the figure of a subject's voxel selection."""
        return self.results / study / subject / "voxels.png"

    def responses(self, study: str, subject: str) -> Path:
        """Return a subject's responses."""
        return self.results / study / subject / "responses.h5"

    # Experiments

    def branch(self, experiment: str, path: str) -> str:
        """Return the folder of a decoding path, relative to the results."""
        return experiment if path == MAIN else f"{experiment}/paths/{path}"

    def alignment(self, experiment: str, path: str = MAIN) -> Path:
        """Return the folder of a path's alignment."""
        return self.results / self.branch(experiment, path) / "alignment"

    def regression(self, experiment: str, path: str = MAIN) -> Path:
        """Return the folder of a path's regression."""
        return self.results / self.branch(experiment, path) / "regression"

    def shared(self, experiment: str, path: str = MAIN) -> Path | None:
        """Return a path's shared space, or None for a path without an alignment."""
        section = self.config.experiments[experiment].decoding_paths()[path]
        return self.alignment(experiment, path) / "shared.h5" if section.alignment else None

    def prior(self, experiment: str, path: str = MAIN) -> Path:
        """Return the folder of a path's priors and of what they restored."""
        return self.results / self.branch(experiment, path) / "prior"

    def predictions(self, experiment: str, path: str = MAIN) -> Path:
        """Return a path's predictions: restored, its regression's, or else its alignment's."""
        section = self.config.experiments[experiment].decoding_paths()[path]
        folder = self.regression if section.regression else self.alignment
        folder = self.prior if section.priors else folder
        return folder(experiment, path) / "predictions.h5"

    def made_model(self, experiment: str, kind: str, name: str) -> Path:
        """Return the folder of a pretrained or finetuned model."""
        return self.results / experiment / kind / name

    def model_mark(self, experiment: str, model: str) -> Path:
        """Return the file that says that a model, named KIND:NAME, is whole."""
        kind, _, name = model.partition(":")
        return self.made_model(experiment, kind, name) / MODEL

    def clips(self, experiment: str, place: str, study: str, subject: str) -> Path:
        """Return what a generator or captioner made for a subject."""
        return self.results / experiment / place / study / f"{subject}.h5"

    def movies(self, experiment: str, study: str, subject: str) -> Path:
        """Return the folder of a subject's reconstructions as mp4."""
        return self.results / experiment / VIDEOS / study / subject

    def evaluation(self, experiment: str) -> Path:
        """Return the folder of an experiment's scores."""
        return self.results / experiment / "evaluation"

    def page(self, experiment: str) -> Path:
        """Return an experiment's page."""
        return self.results / experiment / "report" / "index.html"

    def located(self, experiment: str, section: S) -> S:
        """Return a section in which models that the experiment makes are named by their folders."""

        def walk(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: walk(part) for key, part in value.items()}
            if isinstance(value, list | tuple):
                return [walk(part) for part in value]
            kind, _, name = str(value).partition(":")
            made = isinstance(value, str) and kind in MADE and name
            return str(self.made_model(experiment, kind, name)) if made else value

        return type(section).model_validate(walk(section.model_dump(mode="json")))

    # Several at once

    def subjects(self, experiment: str) -> list[tuple[str, str]]:
        """Return the (study, subject) pairs of an experiment, in the configured order."""
        return [
            (study, subject)
            for study, subjects in self.config.subjects(experiment).items()
            for subject in subjects
        ]

    def studies(self, experiment: str) -> list[str]:
        """Return the studies of an experiment, in the configured order."""
        return [*self.config.subjects(experiment)]

    def pretraining_subjects(self, experiment: str, name: str) -> list[tuple[str, str]]:
        """Return the (study, subject) pairs whose runs a pretraining learns from."""
        section = self.config.experiments[experiment]
        cohorts = section.pretraining[name].cohorts or section.cohorts
        chosen = self.config.chosen(cohorts)
        return [(study, one) for study, every in chosen.items() for one in every]

    def input_files(
        self, experiment: str, source: InputConfig, study: str, subject: str
    ) -> Mapping[str, Path]:
        """Return the files of one input of a generator or captioner.

        Returns
        -------
        mapping
            "file", and "target" for the oracle where the input is a target.
        """
        section = self.config.experiments[experiment]
        if source.target is not None:
            return {
                "file": self.predictions(experiment, section.path_of(source)),
                "target": self.target(study, source.target),
            }
        return {"file": self.clips(experiment, section.node_of(source), study, subject)}
