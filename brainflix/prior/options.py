"""Options of the priors; light to import, so that a configuration can be checked by them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from brainflix.config.base import Positive, Section
from brainflix.config.recipe import PriorConfig

Atoms = Literal["clips", "pseudo_clips"]


class PriorOptions(PriorConfig):
    """What every kind of prior has."""

    studies: Literal["separate", "together"] = Field(
        default="separate",
        description="fit a prior for each study, or one for all studies of the experiment",
    )
    seed: int = Field(default=0, ge=0)


class NoPriorOptions(PriorOptions):
    """Of the prior ``none``."""

    component: str = "none"


class LengthOptions(PriorOptions):
    """Of the prior ``length``."""

    component: str = "length"


class EmpiricalBayesOptions(PriorOptions):
    """Of the prior ``empirical_bayes``."""

    component: str = "empirical_bayes"
    atoms: Atoms = Field(
        default="pseudo_clips",
        description="vectors of training clips, or also of clips that exchanging words in their "
        "captions describes, which hold combinations that no training clip shows",
    )
    estimate: Literal["mean", "map"] = Field(
        default="mean", description="the posterior mean, or the most probable vector"
    )
    components: int = Field(
        default=256, ge=0, description="principal components of the target; 0 for all dimensions"
    )
    temper: Positive | None = Field(
        default=None,
        description="power of the likelihood for the mean; null: chosen by held-out pairs",
    )
    longest: int = Field(default=4, ge=1, description="words of an exchangeable span, at most")
    limit: int = Field(default=150_000, ge=1, description="pseudo-clips, at most")


class SearchOptions(Section):
    """How far to search."""

    starts: int = Field(default=20, ge=1, description="most probable sentences to start from")
    beam: int = Field(default=4, ge=1, description="sentences kept in each round")
    rounds: int = Field(default=6, ge=0, description="changes, at most")
    tries: int = Field(default=400, ge=1, description="sentences encoded in each round, at most")
    penalty: float = Field(
        default=1.0,
        ge=0,
        description="what each change must gain at least, in units of log-likelihood; keeps the "
        "search from sentences that nobody would say",
    )


class CaptionsOptions(PriorOptions):
    """Of the prior ``captions``."""

    component: str = "captions"
    estimate: Literal["map", "mean"] = Field(
        default="map", description="the most probable sentence, or the mean over all sentences"
    )
    components: int = Field(
        default=256, ge=0, description="principal components of the target; 0 for all dimensions"
    )
    temper: Positive | None = Field(
        default=None,
        description="power of the likelihood for the mean; null: chosen by held-out pairs",
    )
    longest: int = Field(default=4, ge=1, description="words of an exchangeable span, at most")
    limit: int = Field(default=100_000, ge=1, description="composed sentences, at most")
    search: SearchOptions | Literal["auto"] | None = Field(
        default="auto",
        description="search on from the most probable sentences, one change at a time; auto: where "
        "exchanges compose less than twice as many sentences as there are captions; null: never",
    )


class TrainingOptions(Section):
    """Steps and rates of a network's training."""

    steps: int = Field(default=800, ge=1)
    batch_size: int = Field(default=256, ge=1)
    learning_rate: Positive = Field(default=1e-3, description="the highest")
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.1, ge=0, le=1, description="share of the steps that warm up")
    save_every: int = Field(default=500, ge=1, description="steps between checkpoints")


class DenoiserOptions(PriorOptions):
    """Of the prior ``denoiser``."""

    component: str = "denoiser"
    atoms: Atoms = Field(
        default="pseudo_clips",
        description="vectors to learn from: those of training clips, or also those of clips that "
        "exchanging words in their captions describes",
    )
    components: int = Field(
        default=256, ge=0, description="principal components of the target; 0 for all dimensions"
    )
    width: int = Field(default=512, ge=1)
    layers: int = Field(default=2, ge=1, description="hidden layers")
    training: TrainingOptions = TrainingOptions()


class DiffusionOptions(PriorOptions):
    """Of the prior ``diffusion``."""

    component: str = "diffusion"
    conditions: Literal["simulated", "pairs"] = Field(
        default="simulated",
        description="train on predictions simulated from training clips and the noise of the "
        "pairs, or on the pairs themselves, where there are thousands",
    )
    atoms: Atoms = Field(
        default="clips", description="vectors to learn from when predictions are simulated"
    )
    components: int = Field(
        default=256, ge=0, description="principal components in which noise is simulated"
    )
    standardise: bool = Field(
        default=True, description="give each dimension zero mean and unit variance"
    )
    layers: int = Field(default=3, ge=1)
    heads: int = Field(default=4, ge=1)
    head_dim: int = Field(default=24, ge=1)
    diffusion_steps: int = Field(default=100, ge=2)
    sampling_steps: int = Field(default=20, ge=1)
    eta: float = Field(default=1.0, ge=0, description="of DDIM; 1 draws, 0 is deterministic")
    drop: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="share of training clips whose condition, and whose noised tokens, are each "
        "replaced by learned ones",
    )
    draws: int = Field(default=1, ge=1, description="draws averaged for each clip")
    training: TrainingOptions = TrainingOptions(steps=2000, batch_size=64, learning_rate=3e-4)
