"""The configuration: one YAML file, validated once, handed to the stages section by section.

A recipe (``brainflix/recipes/NAME.yaml``) names the components of a published system. Values are
merged in this order, the later one wins: recipe, ``config.yaml``, the experiment's own section.
Unknown keys are errors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from brainflix.errors import ConfigError

S = TypeVar("S", bound="Section")
Fraction = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]

RECIPES = Path(__file__).resolve().parent / "recipes"


class Section(BaseModel):
    """A part of the configuration: frozen, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class TargetConfig(Section):
    """A vector or tensor computed from each clip by an encoder."""

    encoder: str = Field(description="registered encoder")
    model: str = Field(description="folder, hub id or embedded:NAME")
    options: dict[str, Any] = Field(default_factory=dict)


class RidgeConfig(Section):
    """Ridge regression whose penalty is chosen by cross-validation over groups of clips."""

    alphas: tuple[Positive, ...] = Field(
        default=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0),
        min_length=1,
        description="penalties tried, as multiples of the number of (standardised) features",
    )
    folds: int = Field(default=10, ge=2, description="cross-validation folds, made of clip groups")


class AlignmentConfig(Section):
    """The shared space of all subjects."""

    pooling: Literal["joint", "separate"] = Field(
        default="joint", description="one model of all subjects, or one a subject"
    )
    target: str = Field(default="clip_image", description="target that the shared space matches")
    heads: Literal["ridge", "gradient"] = Field(
        default="ridge",
        description="how a subject's linear head is fitted: by ridge regression, cross-fitted over "
        "clip groups, or by gradients of the contrastive loss",
    )
    ridge: RidgeConfig = RidgeConfig()
    window: Literal["flatten", "mean"] = Field(
        default="flatten", description="volumes of a response side by side, or averaged"
    )
    dim: int = Field(default=256, ge=1, description="width of the shared space")
    blocks: int = Field(default=2, ge=0, description="shared residual blocks")
    dropout: float = Field(default=0.5, ge=0, lt=1)
    validation_fraction: Fraction = 0.1
    batch_size: int = Field(default=256, ge=2, description="trials a batch, over all subjects")
    accumulate: int = Field(default=1, ge=1, description="batches a step of the optimiser")
    max_epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=5, ge=1, description="epochs without a better validation loss")
    learning_rate: Positive = 1e-3
    weight_decay: float = Field(default=0.1, ge=0)
    temperature: Positive = Field(default=0.07, description="initial value of the learnt one")
    precision: str = Field(default="32-true", description="Lightning's precision")
    seed: int = Field(default=0, ge=0)


class HeadConfig(Section):
    """One regressed target and the weights of its losses."""

    mse: float = Field(default=1.0, ge=0)
    contrastive: float = Field(default=0.0, ge=0)
    temperature: Positive = Field(default=0.1, description="of the contrastive loss")
    length: Literal["free", "training"] = Field(
        default="training",
        description="length of a prediction's deviation from the training mean: as regressed, "
        "which shrinks towards the mean, or stretched to the typical length of training clips",
    )


class RegressionConfig(Section):
    """From the shared space to the vectors that the generator takes."""

    heads: dict[str, HeadConfig] = Field(default_factory=dict)
    width: int = Field(default=512, ge=1)
    blocks: int = Field(default=2, ge=0)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    use_input: bool = Field(
        default=True, description="put the output of the subject's alignment head beside it"
    )
    use_linear: bool = Field(
        default=True,
        description="start from the cross-fitted ridge prediction; the network learns what to add",
    )
    components: int = Field(
        default=256,
        ge=0,
        description="principal components of a target that its head predicts; 0 for no reduction",
    )
    batch_size: int = Field(default=256, ge=2)
    max_epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=5, ge=1)
    learning_rate: Positive = 1e-3
    weight_decay: float = Field(default=0.05, ge=0)
    precision: str = "32-true"
    ridge: RidgeConfig = RidgeConfig()
    seed: int = Field(default=0, ge=0)


class GenerationConfig(Section):
    """From regressed vectors to videos."""

    model: str = Field(
        default="embedded:text-to-video", description="folder, hub id or embedded:NAME"
    )
    path: str = Field(default="video_to_video", description="registered generator")
    conditioning: str | None = Field(
        default="conditioning", description="target used as text conditioning"
    )
    latents: str | None = Field(default="latents", description="target re-noised by video_to_video")
    captions: str | None = Field(
        default=None, description="target decoded to a caption that replaces conditioning"
    )
    strength: float = Field(default=0.8, gt=0, le=1)
    steps: int = Field(default=20, ge=1)
    guidance: float = Field(default=4.0, ge=0)
    negative: Literal["empty", "training_mean"] = "empty"
    scheduler: str = Field(default="DPMSolverMultistepScheduler", description="diffusers class")
    batch_size: int = Field(default=16, ge=1)
    precision: Literal["auto", "32-true", "bf16-mixed", "bf16-true", "16-mixed", "16-true"] = Field(
        default="auto",
        description="auto: bf16-mixed where the hardware multiplies it, else 32-true",
    )
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default=1, description="GPUs, or processes on a CPU"
    )
    baselines: tuple[Literal["ridge", "shuffled", "oracle"], ...] = ("ridge", "shuffled", "oracle")
    seed: int = Field(default=0, ge=0)


class EvaluationConfig(Section):
    """Metrics, chance and intervals."""

    metrics: tuple[str, ...] = (
        "ssim@rgb",
        "psnr",
        "identification@clip",
        "identification@pixel",
        "attributes",
    )
    clip_model: str | None = "embedded:clip"
    frame_classifier: str | None = "embedded:frame-classifier"
    video_classifier: str | None = "embedded:video-classifier"
    vae_model: str | None = Field(default=None, description="its latents identify clips")
    video_model: str | None = Field(
        default=None, description="a video classifier, for the features before its classes"
    )
    perceptual_model: str | None = Field(default=None, description="weights of LPIPS")
    device: str | None = Field(default=None, description="of the models; None: a GPU if there is")
    permutations: int = Field(default=2000, ge=99)
    bootstrap: int = Field(default=2000, ge=100)
    confidence: Fraction = 0.95
    seed: int = Field(default=0, ge=0)


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


_SHARED = ("alignment", "regression", "generation", "evaluation")


def merge(base: Mapping[str, Any], override: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``override`` laid over it, mapping by mapping; lists are replaced."""
    merged = dict(base)
    for key, value in override.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping, or raise :class:`ConfigError` naming the file and line."""
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            "the configuration cannot be read", found=str(error), where=path
        ) from error
    if not isinstance(content, dict):
        raise ConfigError(
            "the configuration is not a mapping", found=type(content).__name__, where=path
        )
    return content


def resolve(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Lay recipe, configuration and experiment sections over each other, without validation.

    ``preprocessing`` at the top level is the default of every study; ``alignment``, ``regression``,
    ``generation`` and ``evaluation`` at the top level are the defaults of every experiment.
    """
    raw = dict(raw)
    recipe = raw.pop("recipe", None)
    if recipe is not None:
        path = Path(str(recipe))
        if path.suffix != ".yaml":
            path = RECIPES / f"{recipe}.yaml"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in RECIPES.glob("*.yaml")))
            raise ConfigError(
                "unknown recipe",
                expected=f"one of {known}, or a .yaml file",
                found=recipe,
                where="recipe",
            )
        raw = merge(read_yaml(path), raw) | {"recipe": str(recipe)}
    preprocessing = raw.pop("preprocessing", None) or {}
    shared = {key: raw.pop(key) or {} for key in _SHARED if key in raw}
    studies, experiments = raw.get("studies"), raw.get("experiments")
    if isinstance(studies, Mapping) and preprocessing:
        raw["studies"] = {
            name: merge({"preprocessing": preprocessing}, study)
            if isinstance(study, Mapping)
            else study
            for name, study in studies.items()
        }
    if isinstance(experiments, Mapping) and shared:
        raw["experiments"] = {
            name: merge(shared, experiment) if isinstance(experiment, Mapping) else experiment
            for name, experiment in experiments.items()
        }
    return raw


def validate(raw: Mapping[str, Any], *, where: str | Path = "the configuration") -> Config:
    """Resolve and validate a configuration.

    Raises
    ------
    ConfigError
        With the full name of each key that is unknown, missing or has an impossible value.
    """
    return parse(Config, resolve(raw), where=where)


def load_config(path: str | Path) -> Config:
    """Read, resolve and validate a configuration file."""
    return validate(read_yaml(path), where=path)


def parse(section: type[S], values: Any, *, where: str | Path = "options") -> S:
    """Validate one section, raising :class:`ConfigError` with each key's full name."""
    try:
        return section.model_validate(values)
    except ValidationError as error:
        problems = []
        for problem in error.errors(include_url=False):
            key = ".".join(str(part) for part in problem["loc"]) or "(top level)"
            reason = "unknown key" if problem["type"] == "extra_forbidden" else problem["msg"]
            problems.append(f"{key}: {reason} (found {_short(problem.get('input'))})")
        raise ConfigError(
            "the configuration is not valid",
            found="\n    " + "\n    ".join(problems),
            where=where,
            remedy="compare with workflow/schemas/config.schema.json and config.yaml",
        ) from error


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def load_options(section: type[S], text: str) -> S:
    """Read one section from a JSON string or a YAML file's path, as the command line gives it."""
    stripped = text.strip()
    if stripped.startswith("{"):
        try:
            values = json.loads(stripped)
        except ValueError as error:
            raise ConfigError(
                "the options are not JSON", found=str(error), where=_short(text)
            ) from error
        return parse(section, values)
    return parse(section, read_yaml(stripped), where=stripped)


def dump_options(section: Section) -> str:
    """Return one section as JSON that :func:`load_options` reads; equal sections, equal text."""
    return json.dumps(section.model_dump(mode="json"), sort_keys=True)


def json_schema() -> str:
    """Return the JSON schema of :class:`Config` as text, as kept in workflow/schemas."""
    return json.dumps(Config.model_json_schema(), indent=2, sort_keys=True) + "\n"
