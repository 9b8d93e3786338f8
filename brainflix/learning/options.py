"""Options of losses."""

from __future__ import annotations

from pydantic import Field

from brainflix.config.base import Positive, Section


class LossOptions(Section):
    """The weight of a loss among the others of its head."""

    weight: float = Field(default=1.0, ge=0)


class ContrastiveOptions(LossOptions):
    """Options of the contrastive loss."""

    temperature: Positive = Field(default=0.1, description="temperature of the softmax")


class SoftClipOptions(LossOptions):
    """Options of SoftCLIP."""

    temperature: Positive = Field(
        default=0.1, description="temperature of the softmax of predictions and of targets"
    )
