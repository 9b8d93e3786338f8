"""Options of the generators and captioners."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from brainflix.config.recipe import CaptionerConfig, GenerationConfig, Takes

_TARGET, _CAPTION = Takes(("target",)), Takes(("captioner",))


class DiffusionOptions(GenerationConfig):
    """A diffusion model by name, and how it is sampled."""

    model: str = Field(
        default="embedded:text-to-video", description="folder, hub id or embedded:NAME"
    )
    steps: int = Field(default=20, ge=1)
    guidance: float = Field(default=4.0, ge=0)
    negative: Literal["empty", "training_mean"] = Field(
        default="empty", description="what guidance leads away from"
    )
    scheduler: str = Field(default="DPMSolverMultistepScheduler", description="diffusers class")


class TextToVideoOptions(DiffusionOptions):
    """Pure noise, denoised under the conditioning."""

    component: str = "text_to_video"

    takes: ClassVar[Mapping[str, Takes]] = {"conditioning": _TARGET, "caption": _CAPTION}
    requires: ClassVar[tuple[tuple[str, ...], ...]] = (("conditioning", "caption"),)


class VideoToVideoOptions(DiffusionOptions):
    """Predicted latents, noised to ``strength`` and denoised under the conditioning."""

    takes: ClassVar[Mapping[str, Takes]] = {
        "conditioning": _TARGET,
        "caption": _CAPTION,
        "latents": _TARGET,
    }
    requires: ClassVar[tuple[tuple[str, ...], ...]] = (("latents",),)

    strength: float = Field(default=0.8, gt=0, le=1)


class TargetCaptionerOptions(CaptionerConfig):
    """A caption from a predicted target, written or chosen by the model that made the target."""

    takes: ClassVar[Mapping[str, Takes]] = {"vectors": _TARGET}
    requires: ClassVar[tuple[tuple[str, ...], ...]] = (("vectors",),)


class NearestCaptionerOptions(CaptionerConfig):
    """The training caption nearest to a generated clip in a CLIP's space."""

    takes: ClassVar[Mapping[str, Takes]] = {"clips": Takes(("generator",))}
    requires: ClassVar[tuple[tuple[str, ...], ...]] = (("clips",),)

    component: str = "nearest"
    model: str = Field(default="embedded:clip", description="folder, hub id or embedded:NAME")
