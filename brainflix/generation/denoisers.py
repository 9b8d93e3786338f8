"""How each denoiser is called: one function a class, the same signature for all.

Latents are (batch, channel, frame, h, w) and conditioning is (batch, token, dim) on our side;
what a class wants besides (text repeated a frame, a time step as long) is settled here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from brainflix.components import Kind
from brainflix.errors import ModelError
from brainflix.models.space_time import SpaceTimeTransformer

Denoise = Callable[[Tensor, Tensor, Tensor], Tensor]

CALLS: Kind[Callable[[Any, Tensor, Tensor, Tensor], Tensor]] = Kind("denoiser call")


@CALLS.register("UNet3DConditionModel")
def _unet3d(model: Any, latents: Tensor, timestep: Tensor, conditioning: Tensor) -> Tensor:
    # repeats the text for each frame by itself
    return model(latents, timestep, encoder_hidden_states=conditioning).sample


@CALLS.register("UNetMotionModel")
def _unet_motion(model: Any, latents: Tensor, timestep: Tensor, conditioning: Tensor) -> Tensor:
    text = conditioning.repeat_interleave(latents.shape[2], dim=0)  # (batch * frame, token, dim)
    return model(latents, timestep, encoder_hidden_states=text).sample


@CALLS.register("WanTransformer3DModel")
def _wan(model: Any, latents: Tensor, timestep: Tensor, conditioning: Tensor) -> Tensor:
    times = timestep.expand(len(latents))
    return model(latents, times, encoder_hidden_states=conditioning, return_dict=False)[0]


@CALLS.register("SpaceTimeTransformer")
def _space_time(
    model: SpaceTimeTransformer, latents: Tensor, timestep: Tensor, conditioning: Tensor
) -> Tensor:
    return model(latents, timestep.expand(len(latents)), conditioning)


def as_function(model: Any) -> Denoise:
    """Return a denoiser as a function of float32 latents, a time step () and conditioning.

    The model may be of another precision; its output is float32 again, so that the scheduler's
    arithmetic is.
    """
    call = CALLS[type(model).__name__]

    def denoise(latents: Tensor, timestep: Tensor, conditioning: Tensor) -> Tensor:
        dtype = next(model.parameters()).dtype
        output = call(model, latents.to(dtype), timestep, conditioning.to(dtype))
        return output.to(torch.float32)

    return denoise


def check_fit(model: Any, latents: Sequence[int], conditioning: Sequence[int], where: str) -> None:
    """Raise :class:`ModelError` when a denoiser cannot take such latents or conditioning.

    Parameters
    ----------
    model : diffusers model
    latents : (int, int, int, int)
        Channel, frame, h, w.
    conditioning : (int, int)
        Token, dim.
    where : str
        The model's name.
    """
    config = model.config
    wanted: list[tuple[str, Any, int]] = [
        ("latent channels", config.get("in_channels"), latents[0]),
        ("width of the conditioning", _text_width(config), conditioning[1]),
    ]
    if type(model).__name__ == "SpaceTimeTransformer":  # its positions are learnt for one size
        wanted += [
            ("frames", config.get("frames"), latents[1]),
            ("latent height", config.get("height"), latents[2]),
            ("latent width", config.get("width"), latents[3]),
            ("tokens of the conditioning", config.get("text_tokens"), conditioning[0]),
        ]
    for what, expected, found in wanted:
        if expected is not None and int(expected) != found:
            raise ModelError(
                f"the denoiser takes another number: {what}",
                expected=expected,
                found=found,
                where=where,
                remedy="match stimuli.frames, height and width with the model, or use another one",
            )


def _text_width(config: Any) -> int | None:
    """Return the width of the conditioning that a denoiser's configuration names."""
    for key in ("cross_attention_dim", "text_dim"):
        width = config.get(key)
        if isinstance(width, int):
            return width
    return None
