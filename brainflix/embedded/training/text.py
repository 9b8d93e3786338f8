"""The text encoder of the embedded text-to-video model."""

from __future__ import annotations

import torch
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from brainflix.embedded.training.data import describe
from brainflix.embedded.training.image_text import (
    AttributeProbe,
    build_tokenizer,
    text_config,
    tokenize,
)
from brainflix.embedded.training.loop import Curve, cosine, device, seeded
from brainflix.simulation.world import ATTRIBUTES


def train_text_encoder(
    scenes: int, steps: int, seed: int, batch: int = 128
) -> tuple[CLIPTextModel, CLIPTokenizer, Curve]:
    """Train a text encoder on captions alone.

    Linear read-outs of object, colour, background and motion from the hidden state at the end of
    the caption, and from the last position, are its task; two phrasings of one scene are drawn
    together at the last position. So a mean over captions still says what each of them says, and
    what a regression has to predict is simple.
    """
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    model = CLIPTextModel._from_config(text_config(tokenizer), attn_implementation="eager")
    model = model.to(device()).train()
    end_probe = AttributeProbe(64, ATTRIBUTES).to(device())
    last_probe = AttributeProbe(64, ATTRIBUTES).to(device())
    parameters = [*model.parameters(), *end_probe.parameters(), *last_probe.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=0.02)
    schedule = cosine(optimiser, steps, warmup=100)
    generator, where = seeded(seed), device()
    phrasings, labels_array = describe(scenes, seed)
    texts = torch.stack([tokenize(tokenizer, captions) for captions in phrasings]).to(where)
    labels = torch.from_numpy(labels_array).to(where)
    curve = Curve("text-encoder")
    for step in curve.steps(steps):
        index = torch.randint(len(texts), (batch,), generator=generator, device=where)
        order = torch.rand((batch, texts.shape[1]), generator=generator, device=where)
        pair = order.argsort(1)[:, :2]
        ids = texts[index[:, None], pair].flatten(0, 1)  # (batch * 2, token)
        target = labels[index].repeat_interleave(2, 0)
        output = model(input_ids=ids)
        last = output.last_hidden_state[:, -1]
        probe = end_probe.loss(output.pooler_output, target) + last_probe.loss(last, target)
        first, second = last.unflatten(0, (batch, 2)).unbind(1)
        apart = nn.functional.mse_loss(first, second)
        loss = probe + 0.3 * apart
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        curve.log(step, probe=probe, apart=apart)
    return model.eval(), tokenizer, curve
