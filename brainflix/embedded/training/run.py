"""Train the embedded models anew: ``brainflix train-embedded --out FOLDER``.

Parts are trained in order, each from the same seed: VAE, text encoder, CLIP, classifiers,
denoiser. Weights are stored in half precision. Each folder gets a model card with what was
measured on scenes that training never saw.

A part is saved when it is done. A training that was stopped, or that failed late, goes on with the
first part that is missing, and within the denoiser from its last 500 steps.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import CLIPModel, CLIPTokenizer, ResNetForImageClassification

from brainflix import __version__
from brainflix.artifacts.store import atomic_path, read_json, write_json
from brainflix.console import announce
from brainflix.embedded.training import assessment
from brainflix.embedded.training.cards import write_cards
from brainflix.embedded.training.classifiers import classify, train_classifier
from brainflix.embedded.training.conditioning import Phrasebook
from brainflix.embedded.training.data import Pool, make_pool
from brainflix.embedded.training.denoiser import (
    Examples,
    Phase,
    build_scheduler,
    encode_text,
    train_denoiser,
)
from brainflix.embedded.training.image_text import train_clip
from brainflix.embedded.training.loop import device
from brainflix.embedded.training.parts import Ledger
from brainflix.embedded.training.text import train_text_encoder
from brainflix.embedded.training.vae import encode_clips, train_vae
from brainflix.models.space_time import SpaceTimeTransformer
from brainflix.simulation.world import SIZE

TOGETHER = 2000  # clips that are rendered and encoded at a time: 200 MB


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
    denoiser_first_clips: int = 12000
    denoiser_first_steps: int = 7000
    denoiser_clips: int = 36000
    denoiser_steps: int = 8200


def train(out: Path, seed: int = 0, budget: Budget | None = None, assessed: int = 240) -> None:
    """Train every embedded model into ``out``, in the layout of ``brainflix/embedded``.

    Until all is done the models lie in a hidden folder beside ``out``, where the next start with
    the same seed and budget finds them.

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
    ledger = Ledger(work / ".parts")
    for name, part in PARTS.items():
        key = part_key(name, seed, budget)
        if ledger.done(name, key):
            announce("train-embedded", f"found {name}")
            continue
        part.train(work, seed, budget, ledger.begin(name, key))
        ledger.finish(name, key)
    assess(work, seed, budget, assessed)
    shutil.rmtree(ledger.folder)
    shutil.rmtree(out, ignore_errors=True)
    work.replace(out)
    announce("train-embedded", f"writes {out}")


def train_vae_part(out: Path, seed: int, budget: Budget, scratch: Path) -> None:
    """Train the VAE into ``text-to-video/vae``."""
    pool = make_pool(budget.vae_clips, seed + 11)
    vae, curve = train_vae(pool, budget.vae_steps, budget.vae_object_steps, seed)
    save_half(vae, out / "text-to-video" / "vae")
    curve.save(out / "text-to-video" / "vae-curve.csv")


def train_clip_part(out: Path, seed: int, budget: Budget, scratch: Path) -> None:
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


def train_text_part(out: Path, seed: int, budget: Budget, scratch: Path) -> None:
    """Train the text encoder into ``text-to-video``."""
    model, tokenizer, curve = train_text_encoder(budget.text_scenes, budget.text_steps, seed)
    save_half(model, out / "text-to-video" / "text_encoder")
    tokenizer.save_pretrained(out / "text-to-video" / "tokenizer")
    curve.save(out / "text-to-video" / "text-encoder-curve.csv")


def train_frame_classifier_part(out: Path, seed: int, budget: Budget, scratch: Path) -> None:
    """Train the frame classifier into ``frame-classifier``."""
    _train_classifier_part(out, seed, budget, video=False)


def train_video_classifier_part(out: Path, seed: int, budget: Budget, scratch: Path) -> None:
    """Train the clip classifier into ``video-classifier``."""
    _train_classifier_part(out, seed, budget, video=True)


def _train_classifier_part(out: Path, seed: int, budget: Budget, video: bool) -> None:
    """Train a classifier, on all combinations.

    A fifth of its clips went through the VAE and back, so that it judges what a clip shows and not
    how sharp a decoder is.
    """
    pool = make_pool(budget.clip_clips, seed + 12, held_out=None)
    vae, part = load_parts(out)["vae"], pool.clips[: budget.clip_clips // 4]
    scaled = encode_clips(vae, part) * vae.config.scaling_factor
    softened = assessment.decode_latents(vae, scaled)
    pool = Pool([*pool.scenes, *pool.scenes[: len(part)]], np.concatenate([pool.clips, softened]))
    name = "video-classifier" if video else "frame-classifier"
    steps = budget.video_steps if video else budget.frame_steps
    model, curve = train_classifier(pool, video, steps, seed)
    save_half(model, out / name)
    _write_preprocessing(out / name, "ConvNextImageProcessor", SIZE // 2 if video else SIZE)
    curve.save(out / name / "curve.csv")


def encode_latents_part(out: Path, seed: int, budget: Budget, scratch: Path) -> None:
    """Render the denoiser's clips and keep their latents, labels and object cells in ``scratch``.

    Many at a time, since 36,000 rendered clips would fill 4 GB of memory.
    """
    vae = load_parts(out)["vae"]
    for k, start in enumerate(range(0, budget.denoiser_clips, TOGETHER)):
        path = scratch / f"{k:03d}.npz"
        if path.is_file():
            continue
        pool = make_pool(min(TOGETHER, budget.denoiser_clips - start), (seed + 13, k))
        latents = encode_clips(vae, pool.clips) * vae.config.scaling_factor
        reached = pool.reached(latents.shape[-1])
        with atomic_path(path) as temporary:
            np.savez(temporary, latents=latents.half(), labels=pool.labels, reached=reached)


def load_examples(out: Path, latents: Path) -> Examples:
    """Load what :func:`encode_latents_part` left, and encode the world's captions."""
    files = [np.load(path) for path in sorted(latents.glob("[0-9]*.npz"))]
    stacked = {
        name: torch.from_numpy(np.concatenate([file[name] for file in files])).to(device())
        for name in ("latents", "labels", "reached")
    }
    parts = load_parts(out)
    phrasebook = Phrasebook.make(
        lambda texts: encode_text(parts["text_encoder"], parts["tokenizer"], texts)
    )
    return Examples(**stacked, phrasebook=phrasebook)


def train_first_denoiser_part(out: Path, seed: int, budget: Budget, scratch: Path) -> None:
    """Train the denoiser on a part of the clips and on encoded text, into ``scratch``."""
    examples = load_examples(out, scratch.parent / "latents").first(budget.denoiser_first_clips)
    phase = Phase("denoiser, first phase", budget.denoiser_first_steps, 1.5e-3, 0.02, False, 0.3)
    model, curve = train_denoiser(examples, phase, seed, state=scratch / "state.pt")
    curve.save(out / "text-to-video" / "denoiser-first-curve.csv")
    save_half(model, scratch / "transformer")


def train_denoiser_part(out: Path, seed: int, budget: Budget, scratch: Path) -> None:
    """Go on with all clips, and with conditionings as a regression leaves them."""
    folder = out / "text-to-video"
    examples = load_examples(out, scratch.parent / "latents")
    first = SpaceTimeTransformer.from_pretrained(
        scratch.parent / "denoiser-first" / "transformer", torch_dtype=torch.float32
    )
    phase = Phase("denoiser", budget.denoiser_steps, 1e-3, 0.0, True)
    model, curve = train_denoiser(examples, phase, seed + 1, first, state=scratch / "state.pt")
    save_half(model, folder / "transformer")
    curve.save(folder / "denoiser-curve.csv")
    build_scheduler().save_pretrained(folder / "scheduler")
    _write_model_index(folder)


@dataclass(frozen=True)
class Part:
    """A part of the training.

    Attributes
    ----------
    train : callable
        Trains it into a folder, given also the seed, the budget and a folder for unfinished work.
    budget : sequence of str
        The fields of the budget that it uses.
    needs : sequence of str
        The parts that it is made from.
    """

    train: Callable[[Path, int, Budget, Path], None]
    budget: Sequence[str]
    needs: Sequence[str] = ()


PARTS: dict[str, Part] = {
    "vae": Part(train_vae_part, ("vae_clips", "vae_steps", "vae_object_steps")),
    "text-encoder": Part(train_text_part, ("text_scenes", "text_steps")),
    "clip": Part(train_clip_part, ("clip_clips", "clip_steps", "clip_last_steps")),
    "video-classifier": Part(train_video_classifier_part, ("clip_clips", "video_steps"), ("vae",)),
    "frame-classifier": Part(train_frame_classifier_part, ("clip_clips", "frame_steps"), ("vae",)),
    "latents": Part(encode_latents_part, ("denoiser_clips",), ("vae",)),
    "denoiser-first": Part(
        train_first_denoiser_part,
        ("denoiser_first_clips", "denoiser_first_steps"),
        ("text-encoder", "latents"),
    ),
    "denoiser": Part(train_denoiser_part, ("denoiser_steps",), ("denoiser-first",)),
}


def part_key(name: str, seed: int, budget: Budget) -> dict[str, Any]:
    """Return what decides the result of a part: seed, its budget, and the same of its needs."""
    part = PARTS[name]
    return {
        "seed": seed,
        "budget": {field: getattr(budget, field) for field in part.budget},
        "needs": {need: part_key(need, seed, budget) for need in part.needs},
    }


def load_parts(out: Path) -> dict[str, Any]:
    """Load what has been trained so far, in single precision and ready to evaluate."""
    from diffusers import AutoencoderKL, DDPMScheduler
    from transformers import CLIPTextModel

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


def assess(out: Path, seed: int, budget: Budget, n: int = 240, remark: str = "") -> dict[str, Any]:
    """Measure all parts on unseen scenes and write ``assessment.json`` and the model cards.

    Half of the figures are on combinations that training held out.

    Parameters
    ----------
    out : Path
        Folder of the embedded models.
    seed : int
        Seed that they were trained with.
    budget : Budget
        Steps and clips that they were trained with.
    n : int
        Unseen scenes of each kind.
    remark : str
        In what the denoiser's training differed from what this code does, for its card.
    """
    parts, classifiers = load_parts(out), load_classifiers(out)
    clip = CLIPModel.from_pretrained(out / "clip", dtype=torch.float32).to(device()).eval()
    figures: dict[str, Any] = {"seed": seed, "budget": asdict(budget), "version": __version__}
    if remark:
        figures["remark"] = remark
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
