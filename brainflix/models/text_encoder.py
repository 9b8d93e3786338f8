"""A video generator's text encoder: sentences to the tokens that its denoiser attends to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from brainflix.models.pretrained import TEXT_ENCODERS, load_part, load_tokenizer, resolve

_LONGEST = 512  # tokens, where neither tokenizer nor encoder names a limit (T5, UMT5)


class TextEncoder(nn.Module):
    """Tokenizer and text encoder of a text-to-video model.

    Sentences are always padded to the full length, so that one sentence's encoding does not depend
    on the others of its batch. Encoders with relative positions (T5) are masked, and their padding
    is zero, as their generators expect it; CLIP's is not, as Stable Diffusion and zeroscope do it.
    """

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__()
        self.model, self.tokenizer = model, tokenizer
        longest = getattr(model.config, "max_position_embeddings", None)
        limits = [int(tokenizer.model_max_length), int(longest or _LONGEST)]
        self.length = min(limits)
        self.masked = longest is None or bool(getattr(model.config, "use_attention_mask", False))
        self.zero_padding = longest is None

    @classmethod
    def from_pretrained(cls, name: str) -> TextEncoder:
        """Load ``text_encoder/`` and ``tokenizer/`` of a folder, hub id or ``embedded:NAME``."""
        source = resolve(name)
        tokenizer = load_tokenizer(source, "tokenizer")
        return cls(load_part(source, TEXT_ENCODERS, "text_encoder"), tokenizer)

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], chunk: int = 32) -> Tensor:
        """Return the last hidden state of each sentence.

        Parameters
        ----------
        texts : sequence of str
            Sentences; the empty one is the usual negative conditioning.
        chunk : int
            Sentences at a time.

        Returns
        -------
        Tensor, shape (text, token, dim), float32
        """
        device = next(self.parameters()).device
        tokens = self.tokenizer(
            list(texts),
            padding="max_length",
            max_length=self.length,
            truncation=True,
            return_tensors="pt",
        )
        parts = []
        for start in range(0, len(texts), chunk):
            part = slice(start, start + chunk)
            mask = tokens["attention_mask"][part].to(device)
            states = self.model(
                input_ids=tokens["input_ids"][part].to(device),
                attention_mask=mask if self.masked else None,
            ).last_hidden_state.float()
            parts.append(states * mask[..., None] if self.zero_padding else states)
        return torch.cat(parts)
