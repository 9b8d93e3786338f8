"""Image and clip classifiers with the names of their classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from brainflix.errors import ModelError
from brainflix.models.pixels import PixelPreprocessing
from brainflix.models.pretrained import CLASSIFIERS, load_part, resolve


class Classifier(nn.Module):
    """A classifier of frames, or of whole clips.

    A model with three input channels classifies frames. One with 3 x n channels classifies clips of
    n frames stacked as channels; a video transformer (``num_frames`` in its configuration) takes
    the frames on an axis of their own.
    """

    def __init__(self, model: Any, pixels: PixelPreprocessing) -> None:
        super().__init__()
        self.model, self.pixels = model, pixels
        config = model.config
        self.labels = tuple(str(config.id2label[k]) for k in range(len(config.id2label)))
        stacked = int(getattr(config, "num_channels", 3)) // 3
        self.separate_frames = getattr(config, "num_frames", None) is not None
        self.frames = int(config.num_frames) if self.separate_frames else stacked

    @classmethod
    def from_pretrained(cls, name: str) -> Classifier:
        """Load a folder, hub id or ``embedded:NAME``; ModelError when a part is missing."""
        source = resolve(name)
        pixels = PixelPreprocessing.from_pretrained(source)
        return cls(load_part(source, CLASSIFIERS), pixels)

    def take_length(self, frames: int) -> None:
        """Let a VideoMAE see clips of another length; other classifiers stay as they are.

        Its positions are sinusoids and exist for any number of frames that its tubes divide, which
        is how the published 6-frame evaluations load it (``num_frames=6``).
        """
        config, network = self.model.config, getattr(self.model, "videomae", None)
        if network is None or frames == self.frames or frames % int(config.tubelet_size):
            return
        config.num_frames = self.frames = frames
        learnt = network.embeddings
        network.embeddings = type(learnt)(config).requires_grad_(False).to(self._device())
        network.embeddings.load_state_dict(learnt.state_dict())
        network.embeddings.eval()

    def _device(self) -> torch.device:
        return next(self.parameters()).device

    @torch.inference_mode()
    def logits(self, clips: Tensor, chunk: int = 32) -> Tensor:
        """Return logits, float32.

        Parameters
        ----------
        clips : Tensor of uint8, shape (clip, frame, height, width, 3)
        chunk : int
            Clips at a time.

        Returns
        -------
        Tensor
            (clip, frame, class) of a classifier of frames, (clip, class) of one of clips.
        """
        if self.frames not in (1, clips.shape[1]):
            raise ModelError(
                "the classifier takes clips of another length",
                expected=f"{self.frames} frames",
                found=clips.shape[1],
            )
        device = self._device()
        parts = []
        for part in clips.split(chunk):
            # (clip, frame, height, width, 3) -> (clip, frame, 3, height, width)
            x = self.pixels(part.to(device).flatten(0, 1)).unflatten(0, part.shape[:2])
            # A classifier of frames sees each on its own, a video transformer an axis of frames,
            # and any other classifier of clips the frames' channels side by side.
            if self.frames == 1 and not self.separate_frames:
                scores = self.model(pixel_values=x.flatten(0, 1)).logits.unflatten(
                    0, part.shape[:2]
                )
            elif self.separate_frames:
                scores = self.model(pixel_values=x).logits
            else:
                scores = self.model(pixel_values=x.flatten(1, 2)).logits
            parts.append(scores.float())
        return torch.cat(parts)
