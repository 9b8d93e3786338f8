"""A captioner in two halves: a picture's tokens, and a sentence written from such tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from brainflix.models.pixels import PixelPreprocessing
from brainflix.models.pretrained import CAPTIONERS, load_part, load_tokenizer, resolve


class PictureCaptioner(nn.Module):
    """BLIP: its vision tokens are what is regressed, its text decoder turns them into a caption.

    Parameters
    ----------
    size : int, optional
        Side in pixels of the picture, where it shall differ from the model's own; positions are
        interpolated (240 gives the 226 x 768 tokens of Brain Netflix).
    """

    def __init__(
        self, model: Any, tokenizer: Any, pixels: PixelPreprocessing, size: int | None = None
    ) -> None:
        super().__init__()
        self.model, self.tokenizer = model, tokenizer
        self.pixels = pixels
        if size is not None:
            self.pixels = PixelPreprocessing(
                height=size, width=size, mean=pixels.mean, std=pixels.std, filter=pixels.filter
            )

    @classmethod
    def from_pretrained(cls, name: str, size: int | None = None) -> PictureCaptioner:
        """Load a folder or hub id; :class:`ModelError` when a part is missing."""
        source = resolve(name)
        pixels = PixelPreprocessing.from_pretrained(source)
        tokenizer = load_tokenizer(source)
        return cls(load_part(source, CAPTIONERS), tokenizer, pixels, size)

    @torch.inference_mode()
    def tokens(self, frames: Tensor, chunk: int = 16) -> Tensor:
        """Return vision tokens (image, token, dim) float32 of uint8 (image, height, width, 3)."""
        device = next(self.parameters()).device
        parts = [
            self.model.vision_model(
                pixel_values=self.pixels(part.to(device)), interpolate_pos_encoding=True
            ).last_hidden_state.float()
            for part in frames.split(chunk)
        ]
        return torch.cat(parts)

    @torch.inference_mode()
    def captions(self, tokens: Tensor, longest: int = 30, chunk: int = 16) -> list[str]:
        """Write a caption, greedily, for each set of vision tokens (image, token, dim)."""
        device = next(self.parameters()).device
        text = self.model.config.text_config
        texts: list[str] = []
        # Greedy decoding from the start token, with attention to the vision tokens.
        for part in tokens.to(device).split(chunk):
            start = torch.full((len(part), 1), text.bos_token_id, device=device)
            written = self.model.text_decoder.generate(
                input_ids=start,
                max_new_tokens=longest,
                num_beams=1,
                do_sample=False,
                eos_token_id=text.sep_token_id,
                pad_token_id=text.pad_token_id,
                encoder_hidden_states=part,
                encoder_attention_mask=torch.ones(part.shape[:2], dtype=torch.long, device=device),
            )
            texts += self.tokenizer.batch_decode(written, skip_special_tokens=True)
        return [caption.strip() for caption in texts]
