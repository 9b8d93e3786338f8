"""Sections of a recipe: targets, alignment, regression, generation, evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from brainflix.components import LOSSES
from brainflix.config.base import Fraction, Name, Positive, Section, _reason


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


class FitConfig(Section):
    """What every stage that fits trials of several subjects needs."""

    pooling: Literal["joint", "separate"] = Field(
        default="joint", description="one model of all subjects, or one model per subject"
    )
    validation_fraction: Fraction = 0.1
    seed: int = Field(default=0, ge=0)


class AlignmentConfig(FitConfig):
    """The shared space of all subjects: a brain encoder and its options."""

    component: str = Field(default="ridge", description="registered brain encoder")
    target: str = Field(default="clip_image", description="target that the shared space matches")


class HeadConfig(Section):
    """One regressed target and the losses that its head is trained on."""

    losses: dict[str, dict[str, Any]] = Field(
        default_factory=lambda: {"mse": {"weight": 1.0}},
        description="registered losses: a weight, or a mapping of weight and the loss's options",
        validate_default=True,
    )
    length: Literal["free", "training"] = Field(
        default="training",
        description="length of a prediction's deviation from the training mean: as regressed, "
        "which shrinks towards the mean, or stretched to the typical length of training clips",
    )

    @field_validator("losses", mode="before")
    @classmethod
    def _weights(cls, losses: Any) -> Any:
        """Write a bare weight as a mapping, and check each loss's options."""
        if not isinstance(losses, Mapping):
            return losses
        checked = {}
        for name, given in losses.items():
            if name not in LOSSES:
                raise ValueError(f"no loss {name!r}; there are {', '.join(sorted(LOSSES))}")
            values = dict(given) if isinstance(given, Mapping) else {"weight": given}
            try:
                section = LOSSES.options(name).model_validate(values)
            except ValidationError as error:
                found = [
                    f"{'.'.join((name, *map(str, problem['loc'])))}: {_reason(problem)}"
                    for problem in error.errors(include_url=False)
                ]
                raise ValueError("; ".join(found)) from error
            checked[name] = section.model_dump(mode="json")
        return checked


class RegressionConfig(FitConfig):
    """From the shared space, or from responses, to the targets that generators take.

    Behind an alignment, ``pooling`` and the validation clips are the alignment's.
    """

    component: str = Field(default="residual_mlp", description="registered regressor")
    heads: dict[str, HeadConfig] = Field(default_factory=dict)
    components: int = Field(
        default=256,
        ge=0,
        description="principal components of a target that its head predicts; 0 for no reduction",
    )
    window: Literal["flatten", "mean"] = Field(
        default="flatten",
        description="without an alignment: volumes of a response side by side, or averaged",
    )
    ridge: RidgeConfig = RidgeConfig()


class PriorConfig(Section):
    """How predictions of one target are restored before anything else reads them."""

    component: str = Field(description="registered prior")


class PathConfig(Section):
    """A decoding path: from responses to predicted targets, with or without an alignment."""

    alignment: AlignmentConfig | None = None
    regression: RegressionConfig | None = None
    priors: dict[Name, PriorConfig] = Field(
        default_factory=dict, description="by target of the regression: how it is restored"
    )


class PretrainingConfig(Section):
    """What is learnt from runs alone; leaves a model that later stages name pretraining:NAME."""

    component: str = Field(description="registered pretraining")
    cohorts: dict[str, tuple[str, ...] | Literal["all"]] | None = Field(
        default=None, description="subjects of each study; None for the experiment's"
    )
    seed: int = Field(default=0, ge=0)


class FinetuningConfig(Section):
    """A model trained further on training clips; later stages name it finetuning:NAME."""

    component: str = Field(description="registered finetuning")
    targets: tuple[str, ...] = Field(default=(), description="targets that it is trained with")
    seed: int = Field(default=0, ge=0)


_SORTS = ("target", "generator", "captioner")


class InputConfig(Section):
    """Where an input of a generator or captioner comes from: exactly one of these."""

    target: str | None = Field(default=None, description="a target that a decoding path predicts")
    path: str | None = Field(
        default=None, description="the decoding path of the target; None for the only one"
    )
    generator: str | None = Field(default=None, description="the clips of another generator")
    captioner: str | None = Field(default=None, description="the captions of a captioner")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        """Take a bare name for a target."""
        return {"target": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one(self) -> InputConfig:
        if sum(bool(getattr(self, sort)) for sort in _SORTS) != 1 or (
            self.path and not self.target
        ):
            raise ValueError("give one of target (with path), generator, captioner")
        return self

    @property
    def sort(self) -> str:
        """What the input is: "target", "generator" or "captioner"."""
        return next(sort for sort in _SORTS if getattr(self, sort))


@dataclass(frozen=True)
class Takes:
    """What a generator or captioner takes under one name.

    Parameters
    ----------
    sorts : tuple of {"target", "generator", "captioner"}
        Where it may come from.
    """

    sorts: tuple[str, ...]


class NodeConfig(Section):
    """What generators and captioners share: a component and where its inputs come from.

    The options of a component say what it takes, by name; rules, checks and the oracle go by that.
    """

    takes: ClassVar[Mapping[str, Takes]] = {}
    requires: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Inputs of which at least one must be connected, group by group."""
    follows: ClassVar[bool] = False
    """Whether a clip is made from the one before it in the same film."""

    component: str
    inputs: dict[str, InputConfig | None] = Field(
        default_factory=dict,
        description="by the name that the component gives an input; null takes one out",
    )
    seed: int = Field(default=0, ge=0)

    @property
    def given(self) -> dict[str, InputConfig]:
        """The inputs that are connected."""
        return {name: source for name, source in self.inputs.items() if source is not None}


class CaptionerConfig(NodeConfig):
    """Text for each test clip, from vectors or generated clips; generators take it as input."""

    component: str = Field(default="target", description="registered captioner")


class GenerationConfig(NodeConfig):
    """From predicted targets, captions and clips to videos: a generator and its options."""

    component: str = Field(default="video_to_video", description="registered generator")
    batch_size: int = Field(default=16, ge=1)
    precision: Literal["auto", "32-true", "bf16-mixed", "bf16-true", "16-mixed", "16-true"] = Field(
        default="auto",
        description="auto: bf16-mixed where the hardware multiplies it, else 32-true",
    )
    devices: Annotated[int, Field(ge=1)] | Literal["auto"] = Field(
        default=1, description="GPUs, or processes on a CPU"
    )
    baselines: tuple[Literal["ridge", "shuffled", "oracle"], ...] = ("ridge", "shuffled", "oracle")


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
