"""Sections of a recipe: targets, alignment, regression, generation, evaluation."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from brainflix.config.base import Fraction, Positive, Section


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
