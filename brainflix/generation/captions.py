"""From a regressed vector to a caption: written by a captioner, or the nearest training caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from brainflix.components import Registry
from brainflix.errors import DataError

Decoder = Callable[[str, NDArray[np.float32], Sequence[str]], list[str]]

# by the name of the encoder that made the target
CAPTION_DECODERS: Registry[Decoder] = Registry("caption decoder for targets of the encoder")


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


@CAPTION_DECODERS.register("captions")
def written_captions(model: str, vectors: NDArray[np.float32], known: Sequence[str]) -> list[str]:
    """Let the captioner that made the vision tokens write a caption from regressed ones.

    Parameters
    ----------
    model : str
        The captioner.
    vectors : ndarray, shape (clip, token, dim)
        Regressed vision tokens.
    known : sequence of str
        Not used.
    """
    import torch

    from brainflix.models.captioner import Captioner

    return Captioner.from_pretrained(model).to(_device()).captions(torch.from_numpy(vectors))


@CAPTION_DECODERS.register("clip_text")
@CAPTION_DECODERS.register("clip_image")
def nearest_captions(model: str, vectors: NDArray[np.float32], known: Sequence[str]) -> list[str]:
    """Return the training caption whose CLIP embedding is nearest to each vector, by cosine.

    Parameters
    ----------
    model : str
        The CLIP.
    vectors : ndarray, shape (clip, dim)
        Regressed CLIP embeddings, of a picture or of text.
    known : sequence of str
        Captions of training clips.

    Raises
    ------
    DataError
        When no training clip has a caption.
    """
    from brainflix.models.clip import Clip

    texts = sorted(set(known))
    if not texts:
        raise DataError(
            "no caption to choose from",
            expected="captions of training clips",
            found="none",
            remedy="leave generation.captions out, or give the study captions",
        )
    embedded = Clip.from_pretrained(model).to(_device()).embed_texts(texts).cpu().numpy()
    return [texts[k] for k in np.argmax(vectors @ embedded.T, axis=1)]
