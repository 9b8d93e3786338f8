"""The stage ``report``: one self-contained page, and a picture of some clips beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from brainflix.artifacts.store import atomic_path
from brainflix.clips.clips import reconcile
from brainflix.console import announce, track
from brainflix.report.contents import Contents, read_contents, read_variants
from brainflix.report.drawing.filmstrips import filmstrip, fit
from brainflix.report.html import Markup
from brainflix.report.page import page
from brainflix.report.sections import brain, comparisons, origin, scores, training
from brainflix.report.sections import clips as reconstructions
from brainflix.report.sections import summary as overview

PICTURE = "gallery.png"
_NAVIGATION = {
    "summary": "In short",
    "reconstructions": "Reconstructions",
    "scores": "Scores",
    "vectors": "Vectors",
    "voxels": "Voxels",
    "training": "Training",
    "origin": "What was run",
}


def report(
    experiment: str, configuration: dict[str, Any], artifacts: dict[str, Path], out: Path
) -> None:
    """Write an experiment's report, and ``gallery.png`` beside it.

    Parameters
    ----------
    experiment : str
        Its name.
    configuration : dict
        What was run, as :meth:`brainflix.config.experiment.Config.described` returns it.
    artifacts : dict of str to Path
        "metrics" (metrics.json), "clips" (clips.parquet), "predictions", "shared" and a study's
        and subject's "stimuli/STUDY", "voxels/STUDY/SUBJECT", "videos/STUDY/SUBJECT".
    out : Path
        The page.
    """
    announce("report", f"reads {len(artifacts)} artifacts of {experiment}")
    contents = read_contents(experiment, configuration, artifacts)
    draw_picture(contents, out.parent / PICTURE)
    text = render_page(contents)
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    announce("report", f"leaves {out} ({len(text) / 2**20:.1f} MiB) and {PICTURE} beside it")


def render_page(contents: Contents) -> str:
    """Return the whole page."""
    seed = gallery_seed(contents)
    subjects = [
        reconstructions.read_subject(contents, name, seed)
        for name in track(contents.subjects, "report", len(contents.subjects))
    ]
    sections: dict[str, Markup | None] = {
        "summary": overview.section(contents),
        "reconstructions": reconstructions.section(contents, subjects),
        "scores": scores.section(contents),
        "vectors": comparisons.section(contents),
        "voxels": brain.section(contents),
        "training": training.section(contents),
        "origin": origin.section(contents),
    }
    return page(
        f"{contents.experiment} – brainflix report",
        overview.heading(contents),
        sections,
        _NAVIGATION,
    )


def gallery_seed(contents: Contents) -> int:
    """Return the seed of the random sample: the evaluation's."""
    return int(contents.metrics.get("provenance", {}).get("seed", 0))


def draw_picture(contents: Contents, path: Path, clips: int = 6) -> None:
    """Write strips of the first subject's random sample: each true clip above its reconstruction.

    Parameters
    ----------
    contents : Contents
    path : Path
        The PNG.
    clips : int
        How many clips are drawn.
    """
    name = contents.subjects[0]
    ids, variants = read_variants(contents.videos[name])
    rng = np.random.default_rng(gallery_seed(contents))
    chosen = np.sort(rng.choice(len(ids), size=min(clips, len(ids)), replace=False))
    true = contents.stimuli[name.partition("/")[0]].frames(tuple(ids[k] for k in chosen))
    predicted = reconcile(variants["network"][chosen], true.shape[1:])
    filmstrip(fit(true, 128), fit(predicted, 128), path)
