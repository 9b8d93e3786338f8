"""Encoders: what is computed from each clip and regressed from brain activity.

An encoder is made by ``from_pretrained(name, **options)`` and turns a batch of clips into float32
rows. A row never depends on the other clips of its batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from brainflix.errors import DataError


@dataclass(frozen=True)
class ClipBatch:
    """Some clips of a stimuli artifact.

    Attributes
    ----------
    ids : sequence of str
    frames : ndarray of uint8, shape (clip, frame, height, width, 3)
    captions : sequence of sequences of str
        A clip's captions, possibly none.
    """

    ids: Sequence[str]
    frames: NDArray[np.uint8]
    captions: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        frames = self.frames
        if frames.ndim != 5 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
            raise DataError(
                "clips have another form",
                expected="uint8, (clip, frame, height, width, 3)",
                found=f"{frames.dtype}, {frames.shape}",
            )
        if not len(self.ids) == len(frames) == len(self.captions):
            raise DataError(
                "names, frames and captions differ in number",
                found=(len(self.ids), len(frames), len(self.captions)),
            )

    def __len__(self) -> int:
        return len(self.ids)

    def flat_captions(self) -> tuple[list[str], NDArray[np.int64]]:
        """Return all captions and the clip that each belongs to.

        Raises
        ------
        DataError
            When a clip has none.
        """
        for name, texts in zip(self.ids, self.captions, strict=True):
            if not texts:
                raise DataError(
                    "a clip has no caption",
                    expected="at least one caption a clip",
                    found="none",
                    where=f"clip {name}",
                    remedy="give the study captions, or leave out targets made of text",
                )
        owners = np.repeat(np.arange(len(self)), [len(texts) for texts in self.captions])
        return [text for texts in self.captions for text in texts], owners


class Encoder(ABC):
    """Turns clips into rows. A new one says how its model is loaded and what it computes.

    Parameters
    ----------
    model : torch.nn.Module
        What :meth:`load` returned; it is put on a GPU where there is one.
    """

    dims: ClassVar[Sequence[str]]
    """Names of a row's axes."""
    of_captions: ClassVar[bool] = False
    """Whether rows are computed from captions alone."""

    def __init__(self, model: Any) -> None:
        import torch

        self.model = model.to("cuda" if torch.cuda.is_available() else "cpu")

    @classmethod
    def from_pretrained(cls, name: str, **options: Any) -> Self:
        """Make the encoder from a folder, hub id or ``embedded:NAME``.

        Raises
        ------
        ModelError
            When the model lacks a part.
        TypeError
            For an option that the encoder does not have.
        """
        return cls(cls.load(name, **options))

    @staticmethod
    @abstractmethod
    def load(name: str, **options: Any) -> Any:
        """Load the model."""

    @abstractmethod
    def encode(self, batch: ClipBatch) -> NDArray[np.float32]:
        """Return (clip, ...), float32."""


def _mean_by_clip(rows: NDArray[np.float32], owners: NDArray[np.int64]) -> NDArray[np.float32]:
    """Average the rows of each clip; owners are sorted and leave no clip out."""
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    counts = np.diff(starts, append=len(owners))
    sums = np.add.reduceat(rows.astype(np.float64), starts, axis=0)
    return (sums / counts.reshape(-1, *[1] * (rows.ndim - 1))).astype(np.float32)


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


class ClipImage(Encoder):
    """CLIP image embedding of a clip, (dim,).

    The frames' unit embeddings are averaged and the mean is brought back to unit length.
    """

    dims = ("feature",)

    @staticmethod
    def load(name: str, **options: Any) -> Any:
        """Load a CLIP."""
        from brainflix.models.image_text import ImageTextModel

        return ImageTextModel.from_pretrained(name, **options)

    def encode(self, batch: ClipBatch) -> NDArray[np.float32]:
        """Return unit vectors (clip, dim)."""
        import torch

        clips, frames = batch.frames.shape[:2]
        flat = torch.from_numpy(batch.frames.reshape(clips * frames, *batch.frames.shape[2:]))
        rows = self.model.embed_images(flat).cpu().numpy()
        return _unit(_mean_by_clip(rows, np.repeat(np.arange(clips), frames)))


class ClipText(Encoder):
    """CLIP text embedding of a clip's captions, (dim,): mean of unit vectors, of unit length."""

    dims = ("feature",)
    of_captions = True

    @staticmethod
    def load(name: str, **options: Any) -> Any:
        """Load a CLIP."""
        from brainflix.models.image_text import ImageTextModel

        return ImageTextModel.from_pretrained(name, **options)

    def encode(self, batch: ClipBatch) -> NDArray[np.float32]:
        """Return unit vectors (clip, dim)."""
        texts, owners = batch.flat_captions()
        return _unit(_mean_by_clip(self.model.embed_texts(texts).cpu().numpy(), owners))


class TextConditioning(Encoder):
    """What the generator's denoiser attends to, (token, dim): the mean over a clip's captions."""

    dims = ("token", "feature")
    of_captions = True

    @staticmethod
    def load(name: str, **options: Any) -> Any:
        """Load ``text_encoder/`` and ``tokenizer/`` of a text-to-video model."""
        from brainflix.models.text_encoder import TextEncoder

        return TextEncoder.from_pretrained(name, **options)

    def encode(self, batch: ClipBatch) -> NDArray[np.float32]:
        """Return last hidden states (clip, token, dim)."""
        texts, owners = batch.flat_captions()
        return _mean_by_clip(self.model.encode(texts).cpu().numpy(), owners)


class VideoLatents(Encoder):
    """The generator's VAE latents, (4, frame, h, w): the posterior's mean, scaled."""

    dims = ("channel", "frame", "latent_height", "latent_width")

    @staticmethod
    def load(name: str, **options: Any) -> Any:
        """Load ``vae/`` of a text-to-video model."""
        from brainflix.models.video_vae import VideoVAE

        return VideoVAE.from_pretrained(name, **options)

    def encode(self, batch: ClipBatch) -> NDArray[np.float32]:
        """Return latents (clip, channel, frame, h, w)."""
        import torch

        return self.model.encode(torch.from_numpy(batch.frames)).cpu().numpy()


class CaptionTokens(Encoder):
    """A captioner's vision tokens of a clip's middle frame, (token, dim).

    They are regressed like any target, and the captioner writes a caption from the prediction. One
    frame is taken because a mean over frames is not something that the captioner has ever seen.
    """

    dims = ("token", "feature")

    @staticmethod
    def load(name: str, **options: Any) -> Any:
        """Load a captioner; ``size`` is the side of its picture, where it shall differ."""
        from brainflix.models.captioner import PictureCaptioner

        return PictureCaptioner.from_pretrained(name, **options)

    def encode(self, batch: ClipBatch) -> NDArray[np.float32]:
        """Return vision tokens (clip, token, dim)."""
        import torch

        middle = np.ascontiguousarray(batch.frames[:, batch.frames.shape[1] // 2])
        return self.model.tokens(torch.from_numpy(middle)).cpu().numpy()
