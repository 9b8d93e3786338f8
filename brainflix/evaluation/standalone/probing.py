"""Clips probed: how many frames they have, of what size and at what times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from brainflix.clips.store import threaded
from brainflix.console import track
from brainflix.errors import BrainflixError, VideoError
from brainflix.evaluation.standalone.files import ClipSource, ProbedClip, listed


def probe_clips(clips: Mapping[str, ClipSource], label: str) -> dict[str, ProbedClip]:
    """Probe clips, and name all that cannot be read in one error.

    Frames that a GIF's writer has merged because they are equal count as often as they are shown,
    see :func:`unmerge`.
    """
    found = track(threaded(_probed, [*clips.values()]), label, len(clips))
    forms: dict[str, ProbedClip] = {}
    wrong: list[str] = []
    for name, form in zip(clips, found, strict=True):
        if isinstance(form, ProbedClip):
            forms[name] = form
        else:
            wrong.append(form)
    if wrong:
        raise VideoError(
            f"{len(wrong)} of {len(clips)} clips cannot be read",
            found=listed(wrong),
            remedy="make or copy these files again; nothing was written",
        )
    moving = {name for name, clip in clips.items() if _is_gif(clip)}
    return forms | unmerge({name: forms[name] for name in forms if name in moving})


def _probed(clip: ClipSource) -> ProbedClip | str:
    """Return a clip's form, or why it cannot be read."""
    try:
        return clip.probe()
    except BrainflixError as error:
        found = "" if error.found is None else f" (found {error.found})"
        return f"{error.where or clip.where}: {error.what}{found}"


def _is_gif(clip: ClipSource) -> bool:
    return all(path.suffix.lower() == ".gif" for path in clip.files)


def unmerge(forms: Mapping[str, ProbedClip]) -> dict[str, ProbedClip]:
    """Repeat frames that are shown for several turns, where all GIFs of a set share a rate.

    GIF writers merge equal neighbouring frames into one that is shown longer, so that a still of
    six frames is stored as one. The turn is the shortest time that any frame of the set is shown;
    a clip is left as it is when its times are not multiples of that, to 10 %.
    """
    lasting = [float(np.diff(f.times, axis=1).min()) for f in forms.values() if f.times is not None]
    return {name: _repeated(form, min(lasting)) for name, form in forms.items()}


def _repeated(form: ProbedClip, turn: float) -> ProbedClip:
    if form.times is None:
        return form
    start, lasts = form.times[:, 0], np.diff(form.times, axis=1)[:, 0]
    turns = np.rint(lasts / turn).astype(np.int64)
    if (turns == 1).all() or (np.abs(lasts / turn - turns) > 0.1).any():
        return form
    length = np.repeat(lasts / turns, turns)
    place = np.concatenate([np.arange(count) for count in turns.tolist()])
    begin = np.repeat(start, turns) + place * length
    times = np.stack([begin, begin + length], axis=1)
    return replace(form, stored=np.repeat(form.stored, turns), times=times)
