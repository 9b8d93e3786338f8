"""Captioners: from vectors or generated clips to text that a generator can be given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from brainflix.artifacts.store import open_artifact
from brainflix.config.recipe import CaptionerConfig
from brainflix.errors import ConfigError, DataError
from brainflix.generation.form import ClipForm
from brainflix.generation.options import NearestCaptionerOptions
from brainflix.generation.sources import Connection


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


class Captioner(ABC):
    """Writes a caption for each test clip.

    Parameters
    ----------
    options : CaptionerConfig
        The section of the component: an instance of its own options.
    form : ClipForm
        What the study's clips look like, and the captions of its training clips.
    connections : mapping of str to Connection
        The connected inputs.
    """

    def __init__(
        self, options: CaptionerConfig, form: ClipForm, connections: Mapping[str, Connection]
    ) -> None:
        self.options, self.form, self.connections = options, form, connections

    @abstractmethod
    def write(self, inputs: Mapping[str, NDArray[Any]]) -> list[str]:
        """Return a caption for each clip.

        Parameters
        ----------
        inputs : mapping of str to ndarray, shape (clip, ...)
            By input: float32 vectors of a target, or uint8 frames of a generator.
        """


class TargetCaptioner(Captioner):
    """A caption from a predicted target, by what the encoder that made the target can do.

    Vision tokens of a captioner are written out by that captioner; CLIP embeddings, of a picture or
    of text, become the nearest training caption.
    """

    def write(self, inputs: Mapping[str, NDArray[Any]]) -> list[str]:
        """Return a caption for each vector (clip, dim) or token grid (clip, token, dim)."""
        path = self.connections["vectors"].target
        if path is None:
            raise DataError("no target artifact to decode captions of", expected="vectors")
        with open_artifact(path, "target") as file:
            encoder, model = str(file.attrs["encoder"]), str(file.attrs["model"])
        if encoder == "captions":
            return written_captions(model, inputs["vectors"])
        if encoder in ("clip_text", "clip_image"):
            return nearest_captions(model, inputs["vectors"], self.form.training_captions)
        raise ConfigError(
            f"no caption can be decoded from a target of the encoder {encoder!r}",
            expected="a target of the encoder captions, clip_text or clip_image",
            found=encoder,
            where="captioners.*.inputs.vectors",
        )


class NearestCaptioner(Captioner):
    """The training caption nearest to a generated clip, by CLIP embeddings of its frames."""

    options: NearestCaptionerOptions

    def write(self, inputs: Mapping[str, NDArray[Any]]) -> list[str]:
        """Return a caption for each clip, uint8 (clip, frame, height, width, 3)."""
        import torch

        from brainflix.models.image_text import ImageTextModel

        clips = inputs["clips"]
        model = ImageTextModel.from_pretrained(self.options.model).to(_device())
        flat = torch.from_numpy(clips.reshape(-1, *clips.shape[2:]))  # (clip * frame, h, w, 3)
        rows = model.embed_images(flat).cpu().numpy().reshape(*clips.shape[:2], -1).mean(axis=1)
        return nearest_captions(self.options.model, rows, self.form.training_captions)


def written_captions(model: str, vectors: NDArray[np.float32]) -> list[str]:
    """Let the captioner that made the vision tokens write a caption from regressed ones.

    Parameters
    ----------
    model : str
        The captioner.
    vectors : ndarray, shape (clip, token, dim)
        Regressed vision tokens.
    """
    import torch

    from brainflix.models.captioner import PictureCaptioner

    return PictureCaptioner.from_pretrained(model).to(_device()).captions(torch.from_numpy(vectors))


def nearest_captions(model: str, vectors: NDArray[np.float32], known: Sequence[str]) -> list[str]:
    """Return the training caption whose CLIP embedding is nearest to each vector, by cosine.

    Parameters
    ----------
    model : str
        The CLIP.
    vectors : ndarray, shape (clip, dim)
        CLIP embeddings, of a picture or of text.
    known : sequence of str
        Captions of training clips.

    Raises
    ------
    DataError
        When no training clip has a caption.
    """
    from brainflix.models.image_text import ImageTextModel

    texts = sorted(set(known))
    if not texts:
        raise DataError(
            "no caption to choose from",
            expected="captions of training clips",
            found="none",
            remedy="take the captioner out of the recipe, or give the study captions",
        )
    embedded = ImageTextModel.from_pretrained(model).to(_device()).embed_texts(texts).cpu().numpy()
    return [texts[k] for k in np.argmax(vectors @ embedded.T, axis=1)]
