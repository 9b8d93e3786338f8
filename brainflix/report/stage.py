"""The stage ``report``: one page that needs no other file, and a picture of some clips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from brainflix.artifacts.store import atomic_path
from brainflix.console import announce
from brainflix.report.contents import SHOWN, Contents
from brainflix.report.drawing.filmstrips import filmstrip, fit
from brainflix.report.experiment import read_contents
from brainflix.report.page import render_page
from brainflix.report.sections import SECTIONS

PICTURE = "gallery.png"


def report(
    experiment: str, configuration: dict[str, Any], artifacts: dict[str, Path], out: Path
) -> None:
    """Write an experiment's report, and ``gallery.png`` next to it.

    Parameters
    ----------
    experiment : str
        Its name.
    configuration : dict
        What was run, as :meth:`brainflix.config.experiment.Config.described` returns it.
    artifacts : dict of str to Path
        "metrics" (metrics.json), "clips" (clips.parquet), "predictions", "shared", and for each
        study and subject "stimuli/STUDY", "voxels/STUDY/SUBJECT", "videos/STUDY/SUBJECT".
    out : Path
        The page.
    """
    announce("report", f"reads {len(artifacts)} artifacts of {experiment}")
    contents = read_contents(experiment, configuration, artifacts, out)
    draw_picture(contents, out.parent / PICTURE)
    text = render_page(contents, SECTIONS)
    with atomic_path(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    announce("report", f"writes {out} ({len(text) / 2**20:.1f} MiB) and {PICTURE} next to it")


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
    gallery = contents.galleries[0]
    rng = np.random.default_rng(contents.results.provenance.seed)
    count = min(clips, len(gallery.ids))
    chosen = np.sort(rng.choice(len(gallery.ids), size=count, replace=False))
    true, predicted = (
        np.asarray(gallery.frames[system][chosen]) for system in (SHOWN, contents.results.system)
    )
    filmstrip(fit(true, 128), fit(predicted, 128), path)
