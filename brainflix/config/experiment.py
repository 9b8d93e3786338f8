"""Experiments: recipes as graphs of stages, applied to cohorts of subjects.

``alignment`` and ``regression`` form the main decoding path; ``paths`` holds others. Generators and
captioners are nodes: each takes predictions of a path, clips of another generator or captions, and
``generation`` is the node whose videos are evaluated. Stages that a recipe leaves out do not exist:
nothing runs for them and nothing mentions them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from brainflix.config.base import Name, Section
from brainflix.config.recipe import (
    AlignmentConfig,
    CaptionerConfig,
    EvaluationConfig,
    FinetuningConfig,
    GenerationConfig,
    InputConfig,
    NodeConfig,
    PathConfig,
    PretrainingConfig,
    PriorConfig,
    RegressionConfig,
    TargetConfig,
)
from brainflix.config.studies import StimuliConfig, StudyConfig, StudySource

MAIN = "main"
"""Name of the decoding path that ``alignment`` and ``regression`` form."""


class ExperimentConfig(Section):
    """A recipe applied to cohorts: which subjects of which studies it trains and is tested on."""

    cohorts: dict[str, tuple[str, ...] | Literal["all"]] = Field(min_length=1)
    compare: str | None = Field(default=None, description="an experiment to set beside this one")
    videos: bool = Field(
        default=True, description="false ends with the predictions, which others compare with"
    )
    pretraining: dict[Name, PretrainingConfig] = Field(default_factory=dict)
    alignment: AlignmentConfig | None = None
    regression: RegressionConfig | None = None
    priors: dict[Name, PriorConfig] = Field(
        default_factory=dict, description="by target of the regression: how it is restored"
    )
    paths: dict[Name, PathConfig] = Field(
        default_factory=dict, description="decoding paths next to that of alignment and regression"
    )
    finetuning: dict[Name, FinetuningConfig] = Field(default_factory=dict)
    captioners: dict[Name, CaptionerConfig] = Field(default_factory=dict)
    generators: dict[Name, GenerationConfig] = Field(
        default_factory=dict, description="generators whose clips others take"
    )
    generation: GenerationConfig = GenerationConfig()
    evaluation: EvaluationConfig = EvaluationConfig()

    def decoding_paths(self) -> dict[str, PathConfig]:
        """Return the decoding paths by name, the main one first."""
        main = PathConfig.model_construct(
            alignment=self.alignment, regression=self.regression, priors=self.priors
        )
        exists = self.alignment is not None or self.regression is not None
        return ({MAIN: main} if exists else {}) | dict(self.paths)

    def predicted(self, path: str) -> tuple[str, ...]:
        """Return the targets that a decoding path predicts."""
        section = self.decoding_paths()[path]
        if section.regression is not None:
            return tuple(section.regression.heads)
        return () if section.alignment is None else (section.alignment.target,)

    def path_of(self, source: InputConfig) -> str:
        """Return the decoding path that predicts an input's target.

        Raises
        ------
        ValueError
            When none does, or several do and the input does not say which.
        """
        every = {path: self.predicted(path) for path in self.decoding_paths()}
        if source.path is not None and source.path not in every:
            raise ValueError(f"no decoding path {source.path!r}; there are {', '.join(every)}")
        chosen = [source.path] if source.path else [*every]
        found = [path for path in chosen if source.target in every[path]]
        if not found:
            known = sorted({target for path in chosen for target in every[path]})
            raise ValueError(f"no path predicts the target {source.target!r}, only {known}")
        if len(found) > 1:
            raise ValueError(f"the paths {found} predict {source.target!r}: name one by `path`")
        return found[0]

    def nodes(self) -> dict[str, NodeConfig]:
        """Return generators and captioners by their place, the final one last."""
        captioners = {f"captioners/{name}": node for name, node in self.captioners.items()}
        generators = {f"generators/{name}": node for name, node in self.generators.items()}
        return {**captioners, **generators, "videos": self.generation} if self.videos else {}

    def node_of(self, source: InputConfig) -> str:
        """Return the place of the node that an input takes clips or captions from."""
        return (
            f"generators/{source.generator}"
            if source.generator
            else f"captioners/{source.captioner}"
        )

    def used_nodes(self) -> dict[str, NodeConfig]:
        """Return the nodes that the final videos depend on, each after those that it takes from.

        Raises
        ------
        ValueError
            For an input from a node that does not exist, or a circle of nodes.
        """
        every, ordered = self.nodes(), {}  # type: ignore[var-annotated]

        def visit(place: str, above: tuple[str, ...]) -> None:
            if place in above:
                raise ValueError(f"{' -> '.join((*above, place))}: a circle of inputs")
            if place not in every:
                raise ValueError(f"{above[-1]}.inputs: there is no {place.replace('/', '.')}")
            for source in every[place].given.values():
                if source.target is None:
                    visit(self.node_of(source), (*above, place))
            ordered[place] = every[place]

        if self.videos:
            visit("videos", ())
        return ordered


class Config(Section):
    """The whole configuration, after recipe and experiment sections have been merged."""

    recipe: str | None = Field(default=None, description="recipe that the values start from")
    extensions: tuple[str, ...] = Field(
        default=(), description="modules or .py files that register components of your own"
    )
    results: str = "results"
    stimuli: StimuliConfig = StimuliConfig()
    studies: dict[Name, StudyConfig] = Field(min_length=1)
    targets: dict[Name, TargetConfig] = Field(default_factory=dict)
    experiments: dict[Name, ExperimentConfig] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_agree(self) -> Config:
        shared = sorted(set(self.studies) & set(self.experiments))
        if shared:
            raise ValueError(f"{shared}: a study and an experiment need names of their own")
        for name, experiment in self.experiments.items():
            where = f"experiments.{name}"
            self._check_cohorts(where, experiment.cohorts)
            for label, section in experiment.pretraining.items():
                self._check_cohorts(f"{where}.pretraining.{label}", section.cohorts or {})
            _check_graph(where, experiment, self.targets)
            if experiment.compare is not None and experiment.compare not in self.experiments:
                raise ValueError(f"{where}.compare: no such experiment {experiment.compare!r}")
        return self

    def _check_cohorts(self, where: str, cohorts: Mapping[str, Any]) -> None:
        for study, chosen in cohorts.items():
            if study not in self.studies:
                raise ValueError(f"{where}.cohorts.{study}: no such study")
            unknown = set() if chosen == "all" else set(chosen) - set(self.studies[study].subjects)
            if unknown:
                raise ValueError(f"{where}.cohorts.{study}: no such subject {sorted(unknown)}")

    def source(self, study: str) -> StudySource:
        """Return the part of a study's section that a reader needs."""
        section = self.studies[study]
        return StudySource(
            reader=section.reader,
            root=section.root,
            options=section.options,
            links_to=section.links_to,
        )

    def chosen(self, cohorts: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
        """Return the subjects of each study of some cohorts, in the configured order."""
        return {
            study: self.studies[study].subjects if chosen == "all" else tuple(chosen)
            for study, chosen in cohorts.items()
        }

    def subjects(self, experiment: str) -> dict[str, tuple[str, ...]]:
        """Return the subjects of each study that an experiment uses, in the configured order."""
        return self.chosen(self.experiments[experiment].cohorts)

    def used_targets(self, experiment: str) -> tuple[str, ...]:
        """Return the targets that an experiment's paths predict, in order, each once."""
        section = self.experiments[experiment]
        found = [name for path in section.decoding_paths() for name in section.predicted(path)]
        return tuple(dict.fromkeys(found))

    def described(self, experiment: str) -> dict[str, Any]:
        """Return all that an experiment was run with, as plain values for a report."""
        studies = {name: self.studies[name] for name in self.subjects(experiment)}
        return {
            "recipe": self.recipe,
            "stimuli": self.stimuli.model_dump(mode="json"),
            "studies": {name: study.model_dump(mode="json") for name, study in studies.items()},
            "targets": {
                name: self.targets[name].model_dump(mode="json")
                for name in self.used_targets(experiment)
            },
            "experiment": self.experiments[experiment].model_dump(mode="json"),
        }


def _check_graph(where: str, experiment: ExperimentConfig, targets: Mapping[str, Any]) -> None:
    """Raise ValueError where a name in an experiment's graph leads nowhere."""
    if experiment.priors and experiment.alignment is None and experiment.regression is None:
        raise ValueError(f"{where}.priors: the main path has no regression; move them to its path")
    if not experiment.decoding_paths():
        raise ValueError(f"{where}: no decoding path; give alignment, regression or paths")
    for path, section in experiment.decoding_paths().items():
        if section.alignment is None and section.regression is None:
            raise ValueError(f"{where}.paths.{path}: neither alignment nor regression")
        wanted = set(section.regression.heads if section.regression else ())
        wanted |= {section.alignment.target} if section.alignment else set()
        missing = sorted(wanted - set(targets))
        if missing:
            raise ValueError(f"{where}: no such target {missing}; targets has {[*targets]}")
        heads = [*section.regression.heads] if section.regression else []
        unpredicted = sorted(set(section.priors) - set(heads))
        if unpredicted:
            named = "priors" if path == MAIN else f"paths.{path}.priors"
            raise ValueError(
                f"{where}.{named}: the path's regression does not predict {unpredicted}, "
                f"only {heads}"
            )
    for label, tuned in experiment.finetuning.items():
        missing = sorted(set(tuned.targets) - set(targets))
        if missing:
            raise ValueError(f"{where}.finetuning.{label}: no such target {missing}")
    for place, node in experiment.used_nodes().items():
        named = f"{where}.{'generation' if place == 'videos' else place.replace('/', '.')}"
        for name, source in node.given.items():
            if source.target is not None:
                try:
                    path = experiment.path_of(source)
                except ValueError as error:
                    raise ValueError(f"{named}.inputs.{name}: {error}") from error
                _check_ridge(where, experiment, path)


def _check_ridge(where: str, experiment: ExperimentConfig, path: str) -> None:
    """Raise ValueError where ridge videos are asked for of a path that has no ridge."""
    section = experiment.decoding_paths()[path]
    if section.regression is None and "ridge" in experiment.generation.baselines:
        raise ValueError(
            f"{where}.generation.baselines: the decoding path {path!r} ends with its alignment, "
            "which has no ridge; give baselines without it, such as [shuffled, oracle]"
        )


def strings(value: Any) -> Iterator[str]:
    """Yield every string in a section's plain values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from strings(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from strings(part)
