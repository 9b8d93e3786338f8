"""CLIP (or SigLIP): pictures and sentences in one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from brainflix.models.pixels import PixelPreprocessing
from brainflix.models.pretrained import CLIPS, load_part, load_tokenizer, resolve


class ImageTextModel(nn.Module):
    """A contrastive image and text model with its own preprocessing.

    Parameters
    ----------
    model : transformers CLIPModel or SiglipModel
    tokenizer : transformers tokenizer
    pixels : PixelPreprocessing
    """

    def __init__(self, model: Any, tokenizer: Any, pixels: PixelPreprocessing) -> None:
        super().__init__()
        self.model, self.tokenizer, self.pixels = model, tokenizer, pixels
        longest = model.config.text_config.max_position_embeddings
        self.max_length = min(int(tokenizer.model_max_length), int(longest))

    @classmethod
    def from_pretrained(cls, name: str) -> ImageTextModel:
        """Load a folder, hub id or ``embedded:NAME``; ModelError when a part is missing."""
        source = resolve(name)
        pixels = PixelPreprocessing.from_pretrained(source)
        tokenizer = load_tokenizer(source)
        return cls(load_part(source, CLIPS), tokenizer, pixels)

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return next(self.parameters()).device

    @torch.inference_mode()
    def embed_images(self, frames: Tensor, chunk: int = 64) -> Tensor:
        """Return unit vectors (image, dim) float32 of uint8 frames (image, height, width, 3)."""
        parts = [
            self.model.get_image_features(pixel_values=self.pixels(part.to(self.device)))
            for part in frames.split(chunk)
        ]
        return normalize(torch.cat([_pooled(part) for part in parts]).float(), dim=-1)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str], chunk: int = 64) -> Tensor:
        """Return unit vectors (text, dim) float32 of sentences."""
        tokens = self.tokenizer(
            list(texts),
            padding="max_length",
            max_length=self.max_length,
            truncation=True,
            return_tensors="pt",
        )["input_ids"]
        parts = [
            self.model.get_text_features(input_ids=part.to(self.device))
            for part in tokens.split(chunk)
        ]
        return normalize(torch.cat([_pooled(part) for part in parts]).float(), dim=-1)


def _pooled(output: Any) -> Tensor:
    """Return the projected embedding: transformers 5 puts it into an output object."""
    return output if isinstance(output, Tensor) else output.pooler_output
