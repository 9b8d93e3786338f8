"""The embedded classifiers of a frame's and a clip's attributes.

One ResNet has the labels of all attributes in a single output layer; a label's name is
``attribute:value`` and there is one softmax an attribute. The clip classifier takes the frames of a
clip stacked as channels, at half the size, which is enough to see what moves where.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from transformers import ResNetConfig, ResNetForImageClassification

from brainflix.embedded.training.data import Pool
from brainflix.embedded.training.image_text import augment
from brainflix.embedded.training.loop import Curve, cosine, device, seeded, to_pixels
from brainflix.simulation.world import ATTRIBUTES, FRAMES, LABELS

_PAIRS = (
    ("left", "right"),
    ("up", "down"),
    ("clockwise", "counterclockwise"),
    ("approach", "retreat"),
)
OPPOSITE = dict(_PAIRS) | {second: first for first, second in _PAIRS}


def build_classifier(names: tuple[str, ...], channels: int) -> ResNetForImageClassification:
    """Return an untrained ResNet whose labels are the values of the attributes ``names``."""
    labels = [f"{name}:{value}" for name in names for value in LABELS[name]]
    config = ResNetConfig(
        num_channels=channels,
        embedding_size=32,
        hidden_sizes=[32, 64, 96, 128],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        id2label=dict(enumerate(labels)),
        label2id={label: k for k, label in enumerate(labels)},
    )
    return ResNetForImageClassification(config)


def attribute_slices(model: ResNetForImageClassification) -> dict[str, slice]:
    """Return where the logits of each attribute lie."""
    prefixes = [model.config.id2label[k].split(":")[0] for k in range(model.config.num_labels)]
    return {
        name: slice(prefixes.index(name), prefixes.index(name) + prefixes.count(name))
        for name in dict.fromkeys(prefixes)
    }


def stack_frames(x: Tensor) -> Tensor:
    """(clip * frame, 3, h, w) -> (clip, frame * 3, h, w)."""
    return x.unflatten(0, (-1, FRAMES)).flatten(1, 2)


def halve(clips: np.ndarray) -> np.ndarray:
    """Return clips of uint8 (clip, frame, height, width, 3) at half the size, by averaging."""
    n, frames, height, width, channels = clips.shape
    blocks = clips.reshape(n, frames, height // 2, 2, width // 2, 2, channels)
    total = blocks.sum(axis=(3, 5), dtype=np.uint16)
    return ((total + 2) // 4).astype(np.uint8)


def train_classifier(pool: Pool, video: bool, steps: int, seed: int) -> tuple[nn.Module, Curve]:
    """Train the clip classifier (``video``) or the frame classifier."""
    torch.manual_seed(seed)
    names = ATTRIBUTES if video else ATTRIBUTES[:3]
    batch = 64 if video else 128
    model = build_classifier(names, 3 * FRAMES if video else 3)
    model = model.to(device(), memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05)
    schedule = cosine(optimiser, steps, warmup=100)
    generator = seeded(seed)
    clips = torch.from_numpy(halve(pool.clips) if video else pool.clips).to(device())
    labels = torch.from_numpy(pool.labels).to(device())
    curve = Curve("video-classifier" if video else "frame-classifier")
    slices = attribute_slices(model)
    for step in curve.steps(steps):
        index = torch.randint(len(clips), (batch,), generator=generator, device=device())
        frame = torch.randint(FRAMES, (batch,), generator=generator, device=device())
        chosen = clips[index].flatten(0, 1) if video else clips[index, frame]
        target = labels[index]
        if video:
            chosen, target = reverse(chosen.unflatten(0, (batch, FRAMES)), target, generator)
        x = augment(chosen, generator)
        x = (stack_frames(x) if video else x).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device().type, dtype=torch.bfloat16):
            logits = model(pixel_values=x).logits.float()
        losses = [
            nn.functional.cross_entropy(logits[:, part], target[:, ATTRIBUTES.index(name)])
            for name, part in slices.items()
        ]
        loss = torch.stack(losses).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        curve.log(step, loss=loss)
    return model.eval(), curve


def reverse(clips: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Play a random half of the clips backwards, which turns each motion into its opposite.

    Parameters
    ----------
    clips : Tensor of uint8, shape (clip, frame, height, width, 3)
    labels : Tensor of int64, shape (clip, 4)
    generator : torch.Generator

    Returns
    -------
    Tensor of uint8, shape (clip * frame, height, width, 3)
    Tensor of int64, shape (clip, 4)
    """
    motions = LABELS["motion"]
    opposite = torch.tensor(
        [motions.index(OPPOSITE.get(name, name)) for name in motions], device=labels.device
    )
    backwards = torch.rand(len(clips), generator=generator, device=clips.device) < 0.5
    clips = torch.where(backwards[:, None, None, None, None], clips.flip(1), clips)
    labels = labels.clone()
    motion = ATTRIBUTES.index("motion")
    labels[:, motion] = torch.where(backwards, opposite[labels[:, motion]], labels[:, motion])
    return clips.flatten(0, 1), labels


@torch.no_grad()
def classify(model: nn.Module, clips: np.ndarray, video: bool) -> dict[str, np.ndarray]:
    """Return the predicted label index of each attribute, shape (clip,).

    The frame classifier's softmax is averaged over the frames of a clip.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in attribute_slices(model)}
    for start in range(0, len(clips), 32):
        part = halve(clips[start : start + 32]) if video else clips[start : start + 32]
        x = to_pixels(torch.from_numpy(part).flatten(0, 1))
        logits = model(pixel_values=stack_frames(x) if video else x).logits.float()
        for name, columns in attribute_slices(model).items():
            chance = logits[:, columns].softmax(-1)
            if not video:
                chance = chance.unflatten(0, (-1, FRAMES)).mean(1)
            found[name].append(chance.argmax(-1).cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}
