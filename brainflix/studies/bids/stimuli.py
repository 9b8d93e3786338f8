"""stimuli.tsv: the clips of a study, one per row.

Columns: ``stim_file`` (relative to the stimuli folder), ``clip`` (name; by default made from the
file's), ``clip_onset`` and ``clip_duration`` (s; where the clip lies in a longer movie; without
them it is the whole file), ``split`` (train or test), ``group``, ``captions`` (a JSON list) and
``attribute_NAME`` (labels). Only ``stim_file`` or ``clip`` is required.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from brainflix.errors import StudyError, VideoError
from brainflix.formats.links import path_within
from brainflix.formats.tsv import Table, read_table
from brainflix.formats.video import open_video
from brainflix.studies.study import SPLITS

_UNFIT = re.compile(r"[^\w.+-]+")


@dataclass(frozen=True)
class Stimulus:
    """A clip as the study lists it; ``duration`` is None for a whole file of unknown length."""

    clip: str
    file: str | None
    onset: float = 0.0
    duration: float | None = None
    whole: bool = True
    split: str | None = None
    group: str | None = None
    captions: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)


class StimulusTable:
    """The clips of a study by name, and by the file that they lie in.

    Parameters
    ----------
    stimuli : iterable of Stimulus
        The clips, in the order of the table.
    where : str or Path
        Where they are listed, for messages.

    Raises
    ------
    StudyError
        When two clips have one name.
    """

    def __init__(self, stimuli: Iterable[Stimulus], where: str | Path) -> None:
        self.where = where
        self.by_clip: dict[str, Stimulus] = {}
        self.by_file: dict[str, list[Stimulus]] = {}
        for stimulus in stimuli:
            if stimulus.clip in self.by_clip:
                raise StudyError(
                    "two clips have one name",
                    expected="names that are unique in the study",
                    found=stimulus.clip,
                    where=where,
                    remedy="add a column clip with different names",
                )
            self.by_clip[stimulus.clip] = stimulus
            if stimulus.file is not None:
                self.by_file.setdefault(stimulus.file, []).append(stimulus)
        for parts in self.by_file.values():
            parts.sort(key=lambda part: part.onset)


def clip_name(file: str) -> str:
    """Return a clip's name made from its file's, without the suffix: "train/01.mp4": "train-01"."""
    return condition_name(str(PurePosixPath(file).with_suffix("")))


def condition_name(text: str) -> str:
    """Return a text with all that is unfit for a clip's name replaced."""
    return _UNFIT.sub("-", text).strip("-.+") or "clip"


def stimulus_file(text: str, folder: str, where: str) -> str:
    """Return a stim_file relative to the stimuli folder.

    Raises
    ------
    StudyError
        When it is absolute or leads out of the study.
    """
    path = path_within(
        text,
        "a stimulus",
        where,
        f"put the stimuli into the study's folder {folder}, or a link to a folder that the "
        "study's key links_to names",
    )
    parts = path.parts
    lead = PurePosixPath(folder).parts
    return str(PurePosixPath(*parts[len(lead) :])) if parts[: len(lead)] == lead else str(path)


def read_stimuli(path: Path, folder: str) -> StimulusTable:
    """Read stimuli.tsv.

    Parameters
    ----------
    path : Path
        The table.
    folder : str
        Name of the stimuli folder, which some writers put in front of each stim_file.

    Raises
    ------
    StudyError
        When a cell is impossible, a file lies outside of the study or two clips share a name.
    """
    table = read_table(path)
    if not {"stim_file", "clip"} & set(table.columns):
        raise StudyError(
            "the table names no stimuli",
            expected="a column stim_file or clip",
            found=", ".join(table.columns),
            where=path,
        )
    files = [row.get("stim_file", "") for row in table.rows]
    rows = (_stimulus(table, row, folder, files.count(files[row]) > 1) for row in range(len(files)))
    return StimulusTable(rows, path)


def _stimulus(table: Table, row: int, folder: str, shared: bool) -> Stimulus:
    """Return one row; ``shared`` says that other clips lie in the same file."""
    cells, where = table.rows[row], table.line(row)
    file = stimulus_file(cells["stim_file"], folder, where) if cells.get("stim_file") else None
    onset = table.number(row, "clip_onset")
    name = cells.get("clip") or _default_name(file, onset, shared, where)
    split = cells.get("split") or None
    if split is not None and split not in SPLITS:
        raise StudyError("unknown split", expected=SPLITS, found=split, where=where)
    group = cells.get("group") or (clip_name(file) if shared and file else name)
    return Stimulus(
        clip=name,
        file=file,
        onset=onset or 0.0,
        duration=table.number(row, "clip_duration", table.number(row, "duration")),
        whole=onset is None,
        split=split,
        group=group,
        captions=_captions(cells.get("captions", ""), where),
        attributes={
            column.removeprefix("attribute_"): value
            for column, value in cells.items()
            if column.startswith("attribute_") and value
        },
    )


def _default_name(file: str | None, onset: float | None, shared: bool, where: str) -> str:
    if file is None:
        raise StudyError("a line names no stimulus", expected="stim_file or clip", where=where)
    if not shared:
        return clip_name(file)
    if onset is None:
        raise StudyError(
            "a file is listed twice and nothing distinguishes its clips",
            expected="columns clip or clip_onset",
            found=file,
            where=where,
        )
    return f"{clip_name(file)}_{round(onset * 1000):07d}"


def _captions(text: str, where: str) -> tuple[str, ...]:
    """Return the captions of a cell: a JSON list, or plain text as the only one."""
    if not text:
        return ()
    if not text.startswith("["):
        return (text,)
    try:
        captions = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise StudyError(
            "the captions are not a JSON list",
            expected='["a cat runs"]',
            found=text[:200],
            where=where,
        ) from error
    if not all(isinstance(caption, str) for caption in captions):
        raise StudyError("a caption is not a text", expected="strings", found=text, where=where)
    return tuple(captions)


def cut_movie(file: str, length: float, duration: float, split: str) -> list[Stimulus]:
    """Return the clips of a movie that no table lists: consecutive, of one duration."""
    name = clip_name(file)
    count = int(length / duration + 1e-6)
    return [
        Stimulus(
            clip=f"{name}_{number:04d}",
            file=file,
            onset=number * duration,
            duration=duration,
            whole=False,
            split=split,
            group=name,
        )
        for number in range(count)
    ]


def video_duration(path: Path) -> float:
    """Return a video's length in s from its container, 1 s for a picture.

    Raises
    ------
    VideoError
        When the file cannot be opened or does not give its length.
    """
    import av

    if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"):
        return 1.0
    try:
        with open_video(path) as container:
            stream = container.streams.video[0]
            if container.duration:
                return container.duration / av.time_base
            if stream.duration and stream.time_base:
                return float(stream.duration * stream.time_base)
    except (OSError, av.FFmpegError, IndexError) as error:
        raise VideoError(
            "the video cannot be opened; it is truncated or damaged",
            expected="a whole video file",
            found=str(error),
            where=path,
            remedy="copy it again",
        ) from error
    raise VideoError(
        "the video does not give its length",
        expected="a duration in its container",
        where=path,
        remedy="give clip_duration in stimuli.tsv",
    )
