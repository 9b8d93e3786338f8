"""Which frame is compared with which, and at what size, where two clips differ.

Two rules for frames. ``even``: the frames of a clip represent the whole of it, whatever its time
stamps say; ``round(linspace(0, n - 1, m))`` of its n frames are kept. ``time``: the frames of the
clip that has fewer of them are compared, at the middle of the time that each is on screen, with
what the other one shows at that time. The number m of frames is one for all pairs, so that any
reconstruction can be compared with any clip: the smallest that a clip offers. Stills do not count;
they are repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from brainflix.clips.clips import even_frames
from brainflix.errors import ConfigError, DataError
from brainflix.evaluation.standalone.files import ProbedClip, listed

Rule = Literal["even", "time"]
Indices = NDArray[np.int64]
Floats = NDArray[np.float64]

RULES: dict[str, str] = {
    "even": "round(linspace(0, n - 1, m)) of a clip's n frames",
    "time": "middles of the frames of the clip with fewer, and what the other shows then",
}
_SLACK = 1e-6  # s; a middle that falls on a boundary belongs to the frame that begins there
RESIZING = "area average where a side shrinks, bilinear where it grows"


@dataclass(frozen=True)
class FramePlan:
    """What is taken from each clip.

    Attributes
    ----------
    true, reconstructed : tuple of ndarray of int64, shape (frame,)
        A pair's frames, as places in the file.
    times : tuple of ndarray of float64, shape (frame,), or None
        When a pair is compared, in s, by the rule ``time``.
    frames, height, width : int
        Of all clips afterwards.
    record : dict
        The rules in words and the numbers they met, as JSON values.
    """

    true: tuple[Indices, ...]
    reconstructed: tuple[Indices, ...]
    times: tuple[Floats, ...] | None
    frames: int
    height: int
    width: int
    record: dict[str, Any]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(frame, height, width, 3)."""
        return self.frames, self.height, self.width, 3

    def other(self, form: ProbedClip, pair: int | None = None) -> Indices:
        """Return the frames of one more clip, as places in its file.

        Parameters
        ----------
        form : ProbedClip
        pair : int, optional
            The pair whose clip it shows too, such as another system's reconstruction.
        """
        if self.times is None or pair is None:
            return form.stored[even_frames(len(form), self.frames)]
        times = self.times[pair]
        return form.stored[_on_screen(_span(form, float(times[-1] + times[0])), times)]


def even_pair(true: int, reconstructed: int, m: int) -> tuple[Indices, Indices]:
    """Return the frames of a pair by the rule ``even``: each clip's own, evenly spaced.

    Parameters
    ----------
    true, reconstructed : int
        Numbers of frames.
    m : int
        How many are kept. A single frame is repeated.
    """
    return even_frames(true, m), even_frames(reconstructed, m)


def middles(true: ProbedClip, reconstructed: ProbedClip) -> Floats:
    """Return the times in s at which a pair is compared by the rule ``time``, without a limit.

    They are the middles of the frames of the clip with fewer frames (of two with equally many, the
    one that ends first), as far as the other clip lasts. A still lasts as long as it is needed. A
    clip without times lasts as long as the other, its frames equally long; of two without, the
    longer one's frames last a second.
    """
    a, b = _spans(true, reconstructed)
    by_length = sorted((a, b), key=lambda span: (len(span) == 1, len(span), span[-1, 1]))
    fewer, other = by_length
    middle = fewer.mean(axis=1)
    return np.asarray(middle[middle < other[-1, 1]])


def time_pair(true: ProbedClip, reconstructed: ProbedClip, m: int) -> tuple[Indices, Indices]:
    """Return the frames of a pair by the rule ``time``, as places among each clip's frames."""
    times = shared_times(true, reconstructed, m)
    a, b = _spans(true, reconstructed)
    return _on_screen(a, times), _on_screen(b, times)


def shared_times(true: ProbedClip, reconstructed: ProbedClip, m: int) -> Floats:
    """Return ``m`` of the times of :func:`middles`, evenly chosen."""
    times = middles(true, reconstructed)
    return times[even_frames(len(times), m)]


def _on_screen(span: Floats, times: Floats) -> Indices:
    place = np.searchsorted(span[:, 0], times + _SLACK, side="right") - 1
    return np.clip(place, 0, None).astype(np.int64)


def _spans(true: ProbedClip, reconstructed: ProbedClip) -> tuple[Floats, Floats]:
    """Return start and end of each frame of both clips, made up where a clip has no times."""
    timed = [form.duration for form in (true, reconstructed) if len(form) > 1]
    known = [duration for duration in timed if duration is not None]
    duration = max(known, default=float(max(len(true), len(reconstructed))))
    return _span(true, duration), _span(reconstructed, duration)


def _span(form: ProbedClip, duration: float) -> Floats:
    if form.times is not None and len(form) > 1:
        return form.times
    edges = np.linspace(0.0, duration, len(form) + 1)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def plan_frames(
    pairs: Sequence[tuple[ProbedClip, ProbedClip]],
    rule: Rule,
    size: str,
    names: Sequence[str],
    others: Iterable[ProbedClip] = (),
) -> FramePlan:
    """Choose frames and size for all pairs.

    Parameters
    ----------
    pairs : sequence of (ProbedClip, ProbedClip)
        True clip and reconstruction.
    rule : "even" or "time"
    size : str
        "true" for the true clips' size, or ``HxW``.
    names : sequence of str
        The pairs' names, for messages.
    others : iterable of ProbedClip
        More clips that will be compared with these, such as another system's reconstructions or
        training clips; they can lower the number of frames.

    Raises
    ------
    ConfigError
        When true clips differ in size and none is given, or ``size`` is not a size.
    DataError
        When a pair has no time in common.
    """
    height, width = _size(pairs, size, names)
    offered = [_offered(a, b, rule, name) for (a, b), name in zip(pairs, names, strict=True)]
    moving = [count for count in offered if count] + [len(f) for f in others if len(f) > 1]
    m = min(moving, default=1)
    chosen = []
    for a, b in pairs:
        i, j = time_pair(a, b, m) if rule == "time" else even_pair(len(a), len(b), m)
        chosen.append((a.stored[i], b.stored[j]))
    record = {
        "frames": {"rule": rule, "meaning": RULES[rule], "compared": m, **_met(pairs)},
        "size": {
            "rule": "the true clips'" if size == "true" else "given",
            "height": height,
            "width": width,
            "resizing": RESIZING,
            "true": _sizes(a for a, _ in pairs),
            "reconstructed": _sizes(b for _, b in pairs),
        },
    }
    times = tuple(shared_times(a, b, m) for a, b in pairs) if rule == "time" else None
    true, reconstructed = (tuple(each[k] for each in chosen) for k in (0, 1))
    return FramePlan(true, reconstructed, times, m, height, width, record)


def _offered(true: ProbedClip, reconstructed: ProbedClip, rule: Rule, name: str) -> int:
    """Return how many frames a pair offers, 0 for a still."""
    if rule == "time":
        found = len(middles(true, reconstructed))
        if found == 0:
            raise DataError(
                "a clip and its reconstruction are never on screen together",
                expected="clips that begin at the same time",
                where=name,
                remedy="use --frames even",
            )
    moving = [n for n in (len(true), len(reconstructed)) if n > 1]
    return min(moving if rule == "even" else [*moving, found]) if moving else 0


def _size(
    pairs: Sequence[tuple[ProbedClip, ProbedClip]], size: str, names: Sequence[str]
) -> tuple[int, int]:
    if size != "true":
        height, _, width = size.lower().partition("x")
        if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
            raise ConfigError(
                "the size cannot be read",
                expected="true, or HEIGHTxWIDTH",
                found=size,
                where="--size",
            )
        return int(height), int(width)
    sizes = {(a.height, a.width): name for (a, _), name in zip(pairs, names, strict=True)}
    if len(sizes) > 1:
        raise ConfigError(
            "the true clips differ in size, and chance compares each with the others",
            expected="one size",
            found=listed(f"{h} x {w} ({name})" for (h, w), name in sizes.items()),
            where="--size",
            remedy="give one, such as --size 256x256",
        )
    return next(iter(sizes))


def _met(pairs: Sequence[tuple[ProbedClip, ProbedClip]]) -> dict[str, Any]:
    return {
        "true": _counts(len(a) for a, _ in pairs),
        "reconstructed": _counts(len(b) for _, b in pairs),
        "seconds": {
            "true": _range(a.duration for a, _ in pairs),
            "reconstructed": _range(b.duration for _, b in pairs),
        },
    }


def _counts(values: Iterable[int]) -> dict[str, int]:
    """Return how many clips have how many frames."""
    return {str(n): count for n, count in sorted(Counter(values).items())}


def _sizes(forms: Iterable[ProbedClip]) -> dict[str, int]:
    found = Counter((form.height, form.width) for form in forms)
    return {f"{h}x{w}": count for (h, w), count in sorted(found.items())}


def _range(values: Iterable[float | None]) -> list[float] | None:
    known = [value for value in values if value is not None]
    return [round(min(known), 3), round(max(known), 3)] if known else None


def stretched(record: Mapping[str, Any]) -> float | None:
    """Return by how much the clips' durations differ at most, as a ratio, None where unknown."""
    seconds = record["frames"]["seconds"]
    if not seconds["true"] or not seconds["reconstructed"]:
        return None
    (a, b), (c, d) = seconds["true"], seconds["reconstructed"]
    return max(b / c, d / a) if min(a, c) > 0 else None
