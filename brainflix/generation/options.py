"""Options of the generators and captioners."""

from __future__ import annotations

from typing import Literal

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

    takes = {"conditioning": _TARGET, "caption": _CAPTION}
    requires = (("conditioning", "caption"),)


class VideoToVideoOptions(DiffusionOptions):
    """Predicted latents, noised to ``strength`` and denoised under the conditioning."""

    takes = {"conditioning": _TARGET, "caption": _CAPTION, "latents": _TARGET}
    requires = (("latents",),)

    strength: float = Field(default=0.8, gt=0, le=1)


class TargetCaptionerOptions(CaptionerConfig):
    """A caption from a predicted target, written or chosen by the model that made the target."""

    takes = {"vectors": _TARGET}
    requires = (("vectors",),)


class NearestCaptionerOptions(CaptionerConfig):
    """The training caption nearest to a generated clip in a CLIP's space."""

    takes = {"clips": Takes(("generator",))}
    requires = (("clips",),)

    model: str = Field(default="embedded:clip", description="folder, hub id or embedded:NAME")
