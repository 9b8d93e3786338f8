"""The configuration: one YAML file, validated once, handed to the stages section by section.

A recipe (``brainflix/recipes/NAME.yaml``) names the components of a published system. Values are
merged in this order, the later one wins: recipe, ``config.yaml``, the experiment's own section.
Unknown keys are errors.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from brainflix.config.base import Name, Section
from brainflix.config.recipe import (
    AlignmentConfig,
    EvaluationConfig,
    GenerationConfig,
    RegressionConfig,
    TargetConfig,
)
from brainflix.config.studies import StimuliConfig, StudyConfig, StudySource


class ExperimentConfig(Section):
    """A recipe applied to cohorts: which subjects of which studies it trains and is tested on."""

    cohorts: dict[str, tuple[str, ...] | Literal["all"]] = Field(min_length=1)
    compare: str | None = Field(default=None, description="an experiment to set beside this one")
    videos: bool = Field(
        default=True, description="false ends with the predictions, which others compare with"
    )
    alignment: AlignmentConfig = AlignmentConfig()
    regression: RegressionConfig = RegressionConfig()
    generation: GenerationConfig = GenerationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()


class Config(Section):
    """The whole configuration, after recipe and experiment sections have been merged."""

    recipe: str | None = Field(default=None, description="recipe that the values start from")
    results: str = "results"
    stimuli: StimuliConfig = StimuliConfig()
    studies: dict[Name, StudyConfig] = Field(min_length=1)
    targets: dict[Name, TargetConfig]
    experiments: dict[Name, ExperimentConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_agree(self) -> Config:
        shared = sorted(set(self.studies) & set(self.experiments))
        if shared:
            raise ValueError(f"{shared}: a study and an experiment need names of their own")
        for name, experiment in self.experiments.items():
            where = f"experiments.{name}"
            for study in experiment.cohorts:
                if study not in self.studies:
                    raise ValueError(f"{where}.cohorts.{study}: no such study")
                unknown = set(self.subjects(name)[study]) - set(self.studies[study].subjects)
                if unknown:
                    raise ValueError(f"{where}.cohorts.{study}: no such subject {sorted(unknown)}")
            wanted = {experiment.alignment.target, *experiment.regression.heads}
            missing = sorted(wanted - set(self.targets))
            if missing:
                raise ValueError(
                    f"{where}: no such target {missing}; targets has {[*self.targets]}"
                )
            generation = experiment.generation
            used = {generation.conditioning, generation.latents, generation.captions} - {None}
            lacking = sorted(used - set(experiment.regression.heads))  # type: ignore[type-var]
            if lacking:
                raise ValueError(f"{where}.generation uses {lacking}, which regression.heads lacks")
            if experiment.compare is not None and experiment.compare not in self.experiments:
                raise ValueError(f"{where}.compare: no such experiment {experiment.compare!r}")
        return self

    def source(self, study: str) -> StudySource:
        """Return the part of a study's section that a reader needs."""
        section = self.studies[study]
        return StudySource(
            reader=section.reader,
            root=section.root,
            options=section.options,
            links_to=section.links_to,
        )

    def subjects(self, experiment: str) -> dict[str, tuple[str, ...]]:
        """Return the subjects of each study that an experiment uses, in the configured order."""
        cohorts = self.experiments[experiment].cohorts
        return {
            study: self.studies[study].subjects if chosen == "all" else tuple(chosen)
            for study, chosen in cohorts.items()
        }

    def described(self, experiment: str) -> dict[str, Any]:
        """Return all that an experiment was run with, as plain values for a report."""
        studies = {name: self.studies[name] for name in self.subjects(experiment)}
        return {
            "recipe": self.recipe,
            "stimuli": self.stimuli.model_dump(mode="json"),
            "studies": {name: study.model_dump(mode="json") for name, study in studies.items()},
            "targets": {
                name: self.targets[name].model_dump(mode="json")
                for name in self.experiments[experiment].regression.heads
            },
            "experiment": self.experiments[experiment].model_dump(mode="json"),
        }
