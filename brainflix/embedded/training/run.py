"""Train the embedded models anew: ``brainflix train-embedded --out FOLDER``.

Parts are trained in order, each from the same seed: VAE, text encoder, CLIP, classifiers,
denoiser. Weights are stored in half precision. Each folder gets a model card with what was
measured on scenes that training never saw.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import CLIPModel, CLIPTokenizer, ResNetForImageClassification

from brainflix import __version__
from brainflix.artifacts.store import read_json, write_json
from brainflix.console import announce
from brainflix.embedded.training import assessment
from brainflix.embedded.training.cards import write_cards
from brainflix.embedded.training.classifiers import classify, train_classifier
from brainflix.embedded.training.clip import train_clip
from brainflix.embedded.training.data import Pool, make_pool
from brainflix.embedded.training.denoiser import build_scheduler, encode_text, train_denoiser
from brainflix.embedded.training.loop import device
from brainflix.embedded.training.text import train_text_encoder
from brainflix.embedded.training.vae import encode_clips, train_vae
from brainflix.simulation.world import SIZE, object_cells


@dataclass(frozen=True)
class Budget:
    """Steps and clips of each part.

    The defaults are what the shipped weights were trained with.
    """

    vae_clips: int = 3000
    vae_steps: int = 1000
    vae_object_steps: int = 500
    text_scenes: int = 20000
    text_steps: int = 1500
    clip_clips: int = 6000
    clip_steps: int = 2400
    clip_last_steps: int = 500
    frame_steps: int = 1500
    video_steps: int = 3000
    denoiser_clips: int = 12000
    denoiser_steps: int = 7000


def train(out: Path, seed: int = 0, budget: Budget | None = None, assessed: int = 240) -> None:
    """Train every embedded model into ``out``, in the layout of ``brainflix/embedded``.

    Parameters
    ----------
    out : Path
        Folder for ``clip``, ``text-to-video``, ``frame-classifier`` and ``video-classifier``.
    seed : int
        Seed of the scenes, the initial weights and the batches.
    budget : Budget, optional
        Steps and clips of each part.
    assessed : int
        Unseen scenes of each kind that the models are assessed on.
    """
    budget = budget or Budget()
    work = out.with_name(f".{out.name}.partial")
    shutil.rmtree(work, ignore_errors=True)
    train_vae_part(work, seed, budget)
    train_text_part(work, seed, budget)
    train_clip_part(work, seed, budget)
    train_classifier_parts(work, seed, budget)
    train_denoiser_part(work, seed, budget)
    assess(work, seed, budget, assessed)
    shutil.rmtree(out, ignore_errors=True)
    work.replace(out)
    announce("train-embedded", f"leaves {out}")


def train_vae_part(out: Path, seed: int, budget: Budget) -> None:
    """Train the VAE into ``text-to-video/vae``."""
    pool = make_pool(budget.vae_clips, seed + 11)
    vae, curve = train_vae(pool, budget.vae_steps, budget.vae_object_steps, seed)
    save_half(vae, out / "text-to-video" / "vae")
    curve.save(out / "text-to-video" / "vae-curve.csv")


def train_clip_part(out: Path, seed: int, budget: Budget) -> None:
    """Train CLIP into ``clip``: on the training combinations, then on all.

    It is an instrument, like the classifiers: were combinations held out to the end, it would have
    learnt that they do not exist.
    """
    pool = make_pool(budget.clip_clips, seed + 12)
    start, _, first = train_clip(pool, budget.clip_steps, seed)
    first.save(out / "clip" / "first-curve.csv")
    pool = make_pool(budget.clip_clips, seed + 12, held_out=None)
    clip, tokenizer, curve = train_clip(pool, budget.clip_last_steps, seed, rate=6e-4, start=start)
    save_half(clip, out / "clip")
    tokenizer.save_pretrained(out / "clip")
    _write_preprocessing(out / "clip", "CLIPImageProcessor", SIZE)
    curve.save(out / "clip" / "curve.csv")


def train_text_part(out: Path, seed: int, budget: Budget) -> None:
    """Train the text encoder into ``text-to-video``."""
    model, tokenizer, curve = train_text_encoder(budget.text_scenes, budget.text_steps, seed)
    save_half(model, out / "text-to-video" / "text_encoder")
    tokenizer.save_pretrained(out / "text-to-video" / "tokenizer")
    curve.save(out / "text-to-video" / "text-encoder-curve.csv")


def train_classifier_parts(out: Path, seed: int, budget: Budget) -> None:
    """Train the frame and the clip classifier, on all combinations.

    A fifth of their clips went through the VAE and back, so that they judge what a clip shows and
    not how sharp a decoder is.
    """
    pool = make_pool(budget.clip_clips, seed + 12, held_out=None)
    vae, part = load_parts(out)["vae"], pool.clips[: budget.clip_clips // 4]
    scaled = encode_clips(vae, part) * vae.config.scaling_factor
    softened = assessment.decode_latents(vae, scaled)
    pool = Pool([*pool.scenes, *pool.scenes[: len(part)]], np.concatenate([pool.clips, softened]))
    for video, name, steps, side in (
        (True, "video-classifier", budget.video_steps, SIZE // 2),
        (False, "frame-classifier", budget.frame_steps, SIZE),
    ):
        model, curve = train_classifier(pool, video, steps, seed)
        save_half(model, out / name)
        _write_preprocessing(out / name, "ConvNextImageProcessor", side)
        curve.save(out / name / "curve.csv")


def train_denoiser_part(out: Path, seed: int, budget: Budget, snapshots: bool = False) -> None:
    """Train the denoiser on the latents and captions of a new pool of scenes.

    With ``snapshots`` the averaged model is saved every 500 steps, so that what comes after can be
    tried while training goes on.
    """
    folder = out / "text-to-video"
    parts = load_parts(out)
    pool = make_pool(budget.denoiser_clips, seed + 13)
    latents = encode_clips(parts["vae"], pool.clips) * parts["vae"].config.scaling_factor
    texts = [text for phrasings in pool.captions for text in phrasings]
    hidden = encode_text(parts["text_encoder"], parts["tokenizer"], texts)
    hidden = hidden.unflatten(0, (len(pool), -1)).half()
    empty = encode_text(parts["text_encoder"], parts["tokenizer"], [""])[0]
    reached = np.stack([object_cells(scene, latents.shape[-1]) for scene in pool.scenes])
    scheduler = build_scheduler()
    scheduler.save_pretrained(folder / "scheduler")
    _write_model_index(folder)
    del pool

    def keep(model: nn.Module, step: int) -> None:
        if snapshots:
            save_half(model, folder / "transformer")

    model, curve = train_denoiser(
        latents.half(),
        hidden,
        empty,
        budget.denoiser_steps,
        seed,
        reached=torch.from_numpy(reached),
        on_snapshot=keep,
    )
    save_half(model, folder / "transformer")
    curve.save(folder / "denoiser-curve.csv")


def load_parts(out: Path) -> dict[str, Any]:
    """Load what has been trained so far, in single precision and ready to evaluate."""
    from diffusers import AutoencoderKL, DDPMScheduler
    from transformers import CLIPTextModel

    from brainflix.models.space_time import SpaceTimeTransformer

    folder = out / "text-to-video"
    options = {"torch_dtype": torch.float32}
    parts: dict[str, Any] = {
        "vae": AutoencoderKL.from_pretrained(folder / "vae", **options),
        "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32),
    }
    if (folder / "transformer").is_dir():
        parts["denoiser"] = SpaceTimeTransformer.from_pretrained(folder / "transformer", **options)
    parts = {name: model.to(device()).eval() for name, model in parts.items()}
    parts["vae"] = parts["vae"].to(memory_format=torch.channels_last)
    parts["tokenizer"] = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    if (folder / "scheduler").is_dir():
        parts["scheduler"] = DDPMScheduler.from_pretrained(folder / "scheduler")
    return parts


def load_classifiers(out: Path) -> dict[str, nn.Module]:
    """Load the two classifiers in single precision."""
    return {
        kind: ResNetForImageClassification.from_pretrained(
            out / f"{kind}-classifier", dtype=torch.float32
        )
        .to(device())
        .eval()
        for kind in ("frame", "video")
    }


def assess(out: Path, seed: int, budget: Budget, n: int = 240) -> dict[str, Any]:
    """Measure all parts on unseen scenes and write ``assessment.json`` and the model cards.

    Half of the figures are on combinations that training held out.
    """
    parts, classifiers = load_parts(out), load_classifiers(out)
    clip = CLIPModel.from_pretrained(out / "clip", dtype=torch.float32).to(device()).eval()
    figures: dict[str, Any] = {"seed": seed, "budget": asdict(budget), "version": __version__}
    for kind, held_out in (("seen_combinations", False), ("held_out_combinations", True)):
        pool = make_pool(n, seed + 14 + held_out, held_out)
        figures[kind] = _figures(parts, classifiers, clip, pool, seed)
        announce("train-embedded", f"{kind}: {json.dumps(figures[kind])}")
    write_json(out / "assessment.json", figures)
    write_cards(out, figures)
    return figures


def _figures(
    parts: Mapping[str, Any],
    classifiers: Mapping[str, nn.Module],
    clip: nn.Module,
    pool: Pool,
    seed: int,
) -> dict[str, Any]:
    generated = assessment.generate_from_captions(parts, pool, seed=seed)
    return {
        "n": len(pool),
        "frame_classifier": assessment.accuracy(
            classify(classifiers["frame"], pool.clips, False), pool
        ),
        "video_classifier": assessment.accuracy(
            classify(classifiers["video"], pool.clips, True), pool
        ),
        "clip_retrieval_of_50": assessment.clip_retrieval(clip, parts["tokenizer"], pool),
        "vae_ssim": assessment.vae_similarity(parts["vae"], pool.clips[:60]),
        "text_to_video": assessment.judge(classifiers, generated, pool),
    }


def save_half(model: Any, folder: Path) -> None:
    """Save a copy of a model in half precision; the model itself stays as it is."""
    import copy

    folder.mkdir(parents=True, exist_ok=True)
    copy.deepcopy(model).half().cpu().save_pretrained(folder, safe_serialization=True)
    config = read_json(folder / "config.json")
    config.pop("_name_or_path", None)  # where the weights were loaded from says nothing to others
    write_json(folder / "config.json", config)


def _write_preprocessing(folder: Path, processor: str, side: int) -> None:
    size = {"height": side, "width": side}
    write_json(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": processor,
            "do_resize": True,
            "size": size,
            "do_rescale": True,
            "rescale_factor": 1 / 255,
            "do_normalize": True,
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
        },
    )


def _write_model_index(folder: Path) -> None:
    write_json(
        folder / "model_index.json",
        {
            "_class_name": "TextToVideo",
            "scheduler": ["diffusers", "DDPMScheduler"],
            "text_encoder": ["transformers", "CLIPTextModel"],
            "tokenizer": ["transformers", "CLIPTokenizer"],
            "transformer": ["brainflix.models.space_time", "SpaceTimeTransformer"],
            "vae": ["diffusers", "AutoencoderKL"],
        },
    )
