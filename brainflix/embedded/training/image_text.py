"""The embedded CLIP: 64 x 64 frames and captions in one space."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTokenizer, CLIPVisionConfig

from brainflix.embedded.training.data import Pool
from brainflix.embedded.training.loop import Curve, cosine, device, seeded, to_pixels
from brainflix.simulation.world import ATTRIBUTES, LABELS, vocabulary

TOKENS = 16
START, END = "<|startoftext|>", "<|endoftext|>"


def build_tokenizer() -> CLIPTokenizer:
    """Return a CLIPTokenizer in which each word of the world's grammar is one token.

    The merges come from byte-pair encoding run on the grammar's words until no pair is left, so
    other words are spelt by smaller pieces.
    """
    trained = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>"))
    trained.pre_tokenizer = pre_tokenizers.Whitespace()
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + list("0123456789.,'-")
    trainer = trainers.BpeTrainer(
        vocab_size=4096,
        min_frequency=1,
        initial_alphabet=letters,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    trained.train_from_iterator([list(vocabulary()), *[[letter] for letter in letters]], trainer)
    content = json.loads(trained.to_str())["model"]
    vocab = dict(sorted(content["vocab"].items(), key=lambda item: item[1]))
    for token in (START, END):
        vocab[token] = len(vocab)
    merges = [tuple(pair) for pair in content["merges"]]
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder)
        (files / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
        (files / "merges.txt").write_text(
            "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n",
            encoding="utf-8",
        )
        return CLIPTokenizer.from_pretrained(folder, model_max_length=TOKENS)


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Return token ids, shape (text, 16), padded with the end token."""
    tokens = tokenizer(
        texts, padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
    )
    return tokens["input_ids"]


def text_config(tokenizer: CLIPTokenizer) -> CLIPTextConfig:
    """Return the size of a text tower: 16 tokens, 64 wide, 2 layers."""
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=192,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=TOKENS,
        projection_dim=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def build_clip(tokenizer: CLIPTokenizer) -> CLIPModel:
    """Return an untrained CLIPModel with a 64-dimensional space."""
    text = text_config(tokenizer)
    vision = CLIPVisionConfig(
        hidden_size=96,
        intermediate_size=288,
        num_hidden_layers=3,
        num_attention_heads=4,
        image_size=64,
        patch_size=8,
        projection_dim=64,
    )
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=64
    )
    # on a CPU the backward pass of plain attention is several times faster than the fused one's
    return CLIPModel._from_config(config, attn_implementation="eager")


def pooled(output: object) -> Tensor:
    """Return the tensor of ``get_*_features``, which newer transformers wrap in an object."""
    return output if isinstance(output, Tensor) else output.pooler_output  # type: ignore[attr-defined]


class AttributeProbe(nn.Module):
    """Linear read-outs of the attributes, an auxiliary loss that is thrown away after training."""

    def __init__(self, dim: int, names: tuple[str, ...]) -> None:
        super().__init__()
        self.names = names
        self.heads = nn.ModuleDict({name: nn.Linear(dim, len(LABELS[name])) for name in names})

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the summed cross-entropy for labels (batch, 4) in the order of ATTRIBUTES."""
        losses = [
            nn.functional.cross_entropy(
                self.heads[name](features), labels[:, ATTRIBUTES.index(name)]
            )
            for name in self.names
        ]
        return torch.stack(losses).sum()


def train_clip(
    pool: Pool,
    steps: int,
    seed: int,
    batch: int = 96,
    rate: float = 1e-3,
    start: CLIPModel | None = None,
) -> tuple[CLIPModel, CLIPTokenizer, Curve]:
    """Train image and text towers: contrastive loss of a random frame against a random caption.

    Auxiliary linear probes hold object, colour and background in the image's embedding and all
    four attributes in the text tower's hidden state at the end token.
    """
    torch.manual_seed(seed)
    tokenizer = build_tokenizer()
    clip = (start or build_clip(tokenizer)).to(device()).train()
    image_probe = AttributeProbe(64, ATTRIBUTES[:3]).to(device())
    text_probe = AttributeProbe(64, ATTRIBUTES).to(device())
    parameters = [*clip.parameters(), *image_probe.parameters(), *text_probe.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.02, betas=(0.9, 0.98))
    schedule = cosine(optimiser, steps, warmup=200)
    generator, where = seeded(seed), device()
    texts = torch.stack([tokenize(tokenizer, captions) for captions in pool.captions]).to(where)
    clips = torch.from_numpy(pool.clips).to(where)
    labels = torch.from_numpy(pool.labels).to(where)
    curve = Curve("clip")
    for step in curve.steps(steps):
        index = torch.randint(len(clips), (batch,), generator=generator, device=where)
        frame = torch.randint(clips.shape[1], (batch,), generator=generator, device=where)
        phrasing = torch.randint(texts.shape[1], (batch,), generator=generator, device=where)
        chosen = clips[index, frame]
        ids, target = texts[index, phrasing], labels[index]
        with torch.autocast(device().type, dtype=torch.bfloat16):
            image = pooled(clip.get_image_features(pixel_values=augment(chosen, generator)))
            hidden = clip.text_model(input_ids=ids)
            text = clip.text_projection(hidden.pooler_output)
        image, text = (
            nn.functional.normalize(image.float(), dim=-1),
            nn.functional.normalize(text.float(), dim=-1),
        )
        logits = clip.logit_scale.exp().clamp(max=100) * image @ text.T
        # clips that agree in what a frame can show are not each other's negatives
        same = (target[:, None, :3] == target[None, :, :3]).all(-1).float()
        same = same / same.sum(1, keepdim=True)
        contrast = (
            nn.functional.cross_entropy(logits, same) + nn.functional.cross_entropy(logits.T, same)
        ) / 2
        probe = image_probe.loss(image * 8, target) + text_probe.loss(
            hidden.pooler_output.float(), target
        )
        loss = contrast + 0.3 * probe
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        curve.log(step, contrast=contrast, probe=probe)
    return clip.eval(), tokenizer, curve


def augment(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Blur and add noise to half of the images, so that features survive a decoder's softness.

    Parameters
    ----------
    frames : Tensor of uint8, shape (image, height, width, 3)
    generator : torch.Generator
        On the device that :func:`to_pixels` moves images to.

    Returns
    -------
    Tensor, shape (image, 3, height, width), in -1 to 1
    """
    x = to_pixels(frames)
    half = len(x) // 2
    order = torch.randperm(len(x), generator=generator, device=x.device)[:half]
    soft = x[order]
    strength = torch.rand((half, 1, 1, 1), generator=generator, device=x.device)
    blurred = nn.functional.avg_pool2d(nn.functional.pad(soft, (1, 1, 1, 1), "replicate"), 3, 1)
    noise = torch.randn(soft.shape, generator=generator, device=x.device)
    soft = soft + strength * (blurred - soft) + 0.06 * strength * noise
    return x.index_copy(0, order, soft)
