"""Model cards of the embedded models: on what, how long and how well they were trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from brainflix.artifacts.store import atomic_path

_HEAD = """---
license: mit
library_name: {library}
tags: [brainflix, simulated-world]
---
# {title}

{purpose}

**Trained on** {data} of brainflix's simulated world (`brainflix.simulation.world`): rendered scenes
of one object, 64 x 64 pixels, 8 frames. {combinations}
**Not for** anything but that world: it has seen no photograph and no film.

**Training** {training}. Seed {seed}; made anew by `snakemake embedded_models`.

## Measured on {n} unseen scenes each

{table}
"""


_ALL = (
    "It is an instrument, so all combinations of attributes occur in its training: otherwise it"
    " would learn that some do not exist."
)
_SOME = (
    "One in eight pairs of object and colour and one in ten of background and motion never occur"
    " in training."
)


def _table(rows: list[tuple[str, list[float]]]) -> str:
    lines = ["| | seen combinations | held-out combinations |", "|---|---|---|"]
    lines += [
        f"| {name} | " + " | ".join(f"{v:.3f}" for v in values) + " |" for name, values in rows
    ]
    return "\n".join(lines)


def _rows(figures: Mapping[str, Any], key: str, label: str) -> list[tuple[str, list[float]]]:
    kinds = [figures["seen_combinations"], figures["held_out_combinations"]]
    if isinstance(kinds[0][key], Mapping):
        return [(f"{label}, {name}", [kind[key][name] for kind in kinds]) for name in kinds[0][key]]
    return [(label, [kind[key] for kind in kinds])]


def write_cards(out: Path, figures: Mapping[str, Any]) -> None:
    """Write README.md into each model's folder.

    Parameters
    ----------
    out : Path
        Folder of the embedded models.
    figures : mapping
        What :func:`brainflix.embedded.training.run.assess` measured.
    """
    budget = figures["budget"]
    common = {"seed": figures["seed"], "n": figures["seen_combinations"]["n"]}
    cards = {
        "clip": {
            "library": "transformers",
            "title": "Embedded CLIP",
            "purpose": "A CLIPModel of 64 x 64 frames and captions, 64 dimensions.",
            "combinations": _ALL,
            "data": f"{budget['clip_clips']} clips",
            "training": f"{budget['clip_steps']} steps of 96 frames of the training combinations,"
            f" then {budget['clip_last_steps']} of all;"
            " contrastive loss, with linear read-outs of the attributes that are not kept",
            "table": _table(_rows(figures, "clip_retrieval_of_50", "own caption nearest of 50")),
        },
        "text-to-video": {
            "library": "diffusers",
            "title": "Embedded text-to-video model",
            "purpose": "VAE (4 x 16 x 16 latents a frame), text encoder, space-time transformer and"
            " scheduler in the layout of diffusers.",
            "combinations": _SOME,
            "data": f"{budget['vae_clips']} (VAE) and {budget['denoiser_clips']} (denoiser) clips",
            "training": f"VAE {budget['vae_steps']} + {budget['vae_object_steps']} steps of 40"
            " crops. Denoiser in two phases of 64 clips a step:"
            f" {budget['denoiser_first_steps']} steps on"
            f" {budget['denoiser_first_clips']} clips with encoded captions, then"
            f" {budget['denoiser_steps']} steps on {budget['denoiser_clips']} clips, of which a"
            " quarter is not told every attribute and half is given deviations of other captions"
            " with a root mean square of up to 0.9, as predicted conditionings have them; shifted"
            " cosine schedule, velocity prediction, more weight on the object until the last"
            " quarter of the steps, moving average. Learning curves in vae-curve.csv,"
            " denoiser-first-curve.csv and denoiser-curve.csv"
            + (f". {figures['remark']}" if figures.get("remark") else ""),
            "table": _table(
                _rows(figures, "text_to_video", "text-to-video shows the right")
                + _rows(figures, "vae_ssim", "SSIM of the VAE's reconstructions")
            ),
        },
    }
    for kind in ("frame", "video"):
        cards[f"{kind}-classifier"] = {
            "library": "transformers",
            "title": f"Embedded {kind} classifier",
            "purpose": "A ResNet with one softmax an attribute (label names are attribute:value)"
            + (", the eight frames stacked as channels, at 32 x 32." if kind == "video" else "."),
            "combinations": _ALL,
            "data": f"{budget['clip_clips']} clips, a quarter of them also through the VAE,",
            "training": f"{budget[f'{kind}_steps']} steps; half of the images blurred and noisy",
            "table": _table(_rows(figures, f"{kind}_classifier", "right")),
        }
    for name, card in cards.items():
        with atomic_path(out / name / "README.md") as temporary:
            temporary.write_text(_HEAD.format(**common, **card), encoding="utf-8")
