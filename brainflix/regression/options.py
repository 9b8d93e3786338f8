"""Options of the regressors."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from brainflix.config.base import Positive
from brainflix.config.recipe import RegressionConfig


class ResidualNetworkOptions(RegressionConfig):
    """A residual MLP with a head per target, beside the ridge regression of each subject."""

    trunk: Literal["residual", "mlp", "swiglu"] = Field(
        default="residual", description="kind of the blocks that all subjects share"
    )
    width: int = Field(default=512, ge=1)
    blocks: int = Field(default=2, ge=0)
    dropout: float = Field(default=0.3, ge=0, lt=1)
    use_input: bool = Field(
        default=True, description="add the output of the subject's alignment head to the input"
    )
    use_linear: bool = Field(
        default=True,
        description="start from the cross-fitted ridge prediction; the network learns what to add",
    )
    batch_size: int = Field(default=256, ge=2)
    max_epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=5, ge=1)
    learning_rate: Positive = 1e-3
    weight_decay: float = Field(default=0.05, ge=0)
    precision: str = "32-true"
