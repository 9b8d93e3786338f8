"""Tiny, randomly initialised models in the folder layouts of transformers and diffusers."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch

TOKENS = 12
TEXT_DIM = 16


def tokenizer() -> Any:
    """Return a CLIP tokenizer that spells."""
    from transformers import CLIPTokenizer

    letters = [*string.ascii_lowercase, *string.digits, ",", "."]
    pieces = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    vocabulary = {piece: k for k, piece in enumerate(pieces)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=TOKENS)


def _text_config(words: Any, dim: int) -> dict[str, Any]:
    return {
        "vocab_size": len(words),
        "hidden_size": dim,
        "intermediate_size": 2 * dim,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "max_position_embeddings": TOKENS,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
        "pad_token_id": words.pad_token_id,
    }


def save_clip(folder: Path, size: int = 32, **preprocessing: Any) -> Path:
    """Save a CLIP of 8 dimensions for pictures of ``size``."""
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

    torch.manual_seed(1)
    words = tokenizer()
    config = CLIPConfig(
        text_config=_text_config(words, 16),
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": size,
            "patch_size": 8,
        },
        projection_dim=8,
    )
    CLIPModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    square = {"height": size, "width": size}
    settings = {"size": {"shortest_edge": size}, "crop_size": square, **preprocessing}
    CLIPImageProcessorPil(**settings).save_pretrained(folder)
    return folder


def make_vae() -> Any:
    """Return an AutoencoderKL of four channels and factor eight."""
    from diffusers import AutoencoderKL

    torch.manual_seed(2)
    model = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(4, 4, 8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=2,
        sample_size=32,
        scaling_factor=0.7,
    )
    torch.nn.init.normal_(model.decoder.conv_out.weight, std=0.5)  # so that latents are seen
    return model


def make_denoiser(kind: str, frames: int, side: int) -> Any:
    """Return an untrained UNet3DConditionModel ("unet") or SpaceTimeTransformer."""
    torch.manual_seed(3)
    if kind == "unet":
        from diffusers import UNet3DConditionModel

        return UNet3DConditionModel(
            sample_size=side,
            block_out_channels=(8, 16),
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
            layers_per_block=1,
            norm_num_groups=4,
            cross_attention_dim=TEXT_DIM,
            attention_head_dim=4,
        )
    from brainflix.models.space_time import SpaceTimeTransformer

    model = SpaceTimeTransformer(
        frames=frames,
        height=side,
        width=side,
        dim=16,
        layers=1,
        heads=2,
        text_dim=TEXT_DIM,
        text_tokens=TOKENS,
    )
    for parameter in model.parameters():  # it is initialised to a constant function
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def save_text_to_video(
    folder: Path,
    kind: str = "transformer",
    frames: int = 4,
    size: int = 32,
    prediction: str = "v_prediction",
) -> Path:
    """Save a text-to-video model with ``unet/`` or ``transformer/``."""
    from diffusers import DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(4)
    words = tokenizer()
    CLIPTextModel(CLIPTextConfig(**_text_config(words, TEXT_DIM))).save_pretrained(
        folder / "text_encoder"
    )
    words.save_pretrained(folder / "tokenizer")
    make_vae().save_pretrained(folder / "vae")
    make_denoiser(kind, frames, size // 8).save_pretrained(folder / kind)
    DDIMScheduler(prediction_type=prediction, clip_sample=True).save_pretrained(
        folder / "scheduler"
    )
    return folder


def save_classifier(folder: Path, labels: list[str], channels: int = 3, size: int = 32) -> Path:
    """Save a ResNet classifier of frames, or of clips stacked as channels."""
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(5)
    config = ResNetConfig(
        num_channels=channels,
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label=dict(enumerate(labels)),
        label2id={label: k for k, label in enumerate(labels)},
    )
    ResNetForImageClassification(config).save_pretrained(folder)
    half = [0.5, 0.5, 0.5]
    square = {"height": size, "width": size}
    settings = {"size": square, "image_mean": half, "image_std": half}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


def save_captioner(folder: Path) -> Path:
    """Save a BLIP captioner."""
    from transformers import (
        BertTokenizer,
        BlipConfig,
        BlipForConditionalGeneration,
        BlipImageProcessorPil,
    )

    torch.manual_seed(6)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "a", "red", "ball", "rises"]
    vocabulary = folder / "vocab.txt"
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary.write_text("\n".join(words) + "\n")
    small = {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = BlipConfig(
        text_config={
            **small,
            "encoder_hidden_size": 16,
            "vocab_size": len(words),
            "bos_token_id": 5,
            "sep_token_id": 3,
            "eos_token_id": 3,
            "pad_token_id": 0,
        },
        vision_config={**small, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    model = BlipForConditionalGeneration(config)
    for parameter in model.parameters():  # BLIP is initialised to almost nothing
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)
    BertTokenizer(str(vocabulary), bos_token="[DEC]").save_pretrained(folder)
    BlipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder
