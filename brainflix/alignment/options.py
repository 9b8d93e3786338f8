"""Options of the brain encoders."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from brainflix.config.base import Positive
from brainflix.config.recipe import AlignmentConfig, RidgeConfig


class LinearHeadsOptions(AlignmentConfig):
    """A linear head per subject, shared residual blocks and a projection to the target."""

    window: Literal["flatten", "mean"] = Field(
        default="flatten", description="volumes of a response side by side, or averaged"
    )
    dim: int = Field(default=256, ge=1, description="width of the shared space")
    blocks: int = Field(default=2, ge=0, description="shared residual blocks")
    dropout: float = Field(default=0.5, ge=0, lt=1)
    batch_size: int = Field(default=256, ge=2, description="trials per batch, over all subjects")
    accumulate: int = Field(default=1, ge=1, description="batches per step of the optimiser")
    max_epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=5, ge=1, description="epochs without a better validation loss")
    learning_rate: Positive = 1e-3
    weight_decay: float = Field(default=0.1, ge=0)
    temperature: Positive = Field(default=0.07, description="initial value of the learnt one")
    precision: str = Field(default="32-true", description="Lightning's precision")


class RidgeHeadsOptions(LinearHeadsOptions):
    """Heads fitted by ridge regression, cross-fitted over groups of clips, and then kept."""

    ridge: RidgeConfig = RidgeConfig()


class GradientHeadsOptions(LinearHeadsOptions):
    """Heads trained by gradients of the contrastive loss, together with the shared layers."""

    component: str = "gradient"
