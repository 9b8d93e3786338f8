"""How a model's pictures are prepared: size, crop, mean and deviation, as its files say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from brainflix.errors import ModelError
from brainflix.models.pretrained import Source

if TYPE_CHECKING:
    from torch import Tensor

_FILTERS = {1: "lanczos", 2: "bilinear", 3: "bicubic"}  # PIL's numbers


@dataclass(frozen=True)
class PixelPreprocessing:
    """Resize, crop, scale and normalise frames for a vision model.

    Attributes
    ----------
    height, width : int or None
        Exact size that frames are stretched to.
    shortest_edge : int or None
        Instead of an exact size: the length of the shorter side, the ratio being kept.
    crop : (int, int) or None
        Height and width of a centre crop.
    mean, std : tuple of float
        One value for each channel, for intensities of 0 to 1.
    filter : {"bilinear", "bicubic"}
        Interpolation; always antialiased, as PIL does it.
    """

    height: int | None = None
    width: int | None = None
    shortest_edge: int | None = None
    crop: tuple[int, int] | None = None
    mean: tuple[float, ...] = (0.5, 0.5, 0.5)
    std: tuple[float, ...] = (0.5, 0.5, 0.5)
    filter: str = "bicubic"

    def __call__(self, frames: Tensor) -> Tensor:
        """Turn uint8 (image, height, width, 3) into float32 (image, 3, height, width)."""
        import torch
        from torch.nn.functional import interpolate

        # (image, height, width, channel) -> (image, channel, height, width)
        x = frames.permute(0, 3, 1, 2).to(torch.float32)
        height, width = self._size(x.shape[-2], x.shape[-1])
        for size in ((x.shape[-2], width), (height, width)):  # PIL's two passes, each rounded
            if size != tuple(x.shape[-2:]):
                x = interpolate(x, size=size, mode=self.filter, antialias=True)
                x = x.round().clamp(0, 255)
        # After resizing, a crop from the middle; then intensities of 0 to 1 are standardised.
        if self.crop is not None:
            x = _centre_crop(x, *self.crop)
        mean = torch.tensor(self.mean, device=x.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, device=x.device).view(1, -1, 1, 1)
        return (x / 255.0 - mean) / std

    def _size(self, height: int, width: int) -> tuple[int, int]:
        if self.shortest_edge is not None:
            scale = self.shortest_edge
            if height <= width:
                return scale, int(scale * width / height)
            return int(scale * height / width), scale
        return self.height or height, self.width or width

    @classmethod
    def from_config(cls, config: Mapping[str, Any], where: object = None) -> PixelPreprocessing:
        """Read the keys of an image processor's configuration.

        Raises
        ------
        ModelError
            When a key has a form that brainflix does not know.
        """
        try:
            crop = _pair(config.get("crop_size")) if config.get("do_center_crop") else None
            size = config.get("size") if config.get("do_resize", True) else None
            if isinstance(size, int) and crop is None:
                size = {"height": size, "width": size}
            elif isinstance(size, int):
                size = {"shortest_edge": size}
            size = dict(size or {})
            normalise = config.get("do_normalize", True)
            return cls(
                height=size.get("height"),
                width=size.get("width"),
                shortest_edge=size.get("shortest_edge"),
                crop=crop,
                mean=tuple(config["image_mean"]) if normalise else (0.0, 0.0, 0.0),
                std=tuple(config["image_std"]) if normalise else (1.0, 1.0, 1.0),
                filter=_filter(config.get("resample", 3)),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(
                "the model's picture preprocessing cannot be read",
                expected="size, image_mean and image_std",
                found=repr(error),
                where=where,
            ) from error

    @classmethod
    def from_pretrained(cls, source: Source) -> PixelPreprocessing:
        """Read ``preprocessor_config.json``, or ``processor_config.json`` of newer models."""
        config = source.json("preprocessor_config.json")
        if config is None:
            config = (source.json("processor_config.json") or {}).get("image_processor")
        if config is None:
            raise ModelError(
                "the model lacks a part",
                expected="preprocessor_config.json",
                found="no description of how to prepare pictures",
                where=source.folder or source.name,
            )
        return cls.from_config(config, where=source.name)


def _filter(resample: int) -> str:
    name = _FILTERS[int(resample)]
    return "bicubic" if name == "lanczos" else name  # torch has no Lanczos; bicubic is the nearest


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, Mapping):
        return int(value["height"]), int(value["width"])
    return int(value), int(value)


def _centre_crop(x: Tensor, height: int, width: int) -> Tensor:
    """Cut out the centre; where a picture is smaller, fill up with black."""
    from torch.nn.functional import pad

    rows, columns = x.shape[-2:]
    if rows < height or columns < width:
        # Odd margins are larger at the top and the left, as transformers' image processors pad.
        extra_rows, extra_columns = max(0, height - rows), max(0, width - columns)
        top, left = -(-extra_rows // 2), -(-extra_columns // 2)
        x = pad(x, (left, extra_columns - left, top, extra_rows - top))
        rows, columns = x.shape[-2:]
    top, left = (rows - height) // 2, (columns - width) // 2
    return x[..., top : top + height, left : left + width]
