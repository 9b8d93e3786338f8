"""A study's clips: do their files exist and decode, and do the splits overlap?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from brainflix.artifacts.store import file_digest
from brainflix.check.findings import Deadline, Findings, Problem, StimulusFacts
from brainflix.config.studies import StimuliConfig
from brainflix.errors import BrainflixError, VideoError
from brainflix.formats.video import frames_at, read_picture
from brainflix.studies.bids.stimuli import video_duration
from brainflix.studies.study import Clip, Study
from brainflix.targets.decode import PICTURES, frame_times, sample_array

MOVIES = frozenset({".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".gif"})
OVERLAP = 0.05  # s


def find_clips(study: Study, findings: Findings) -> list[Clip]:
    """Return a study's clips, noting files that are missing and what else is wrong."""
    try:
        files = study.checked_files()
    except BrainflixError as error:
        findings.error(error)
        files = []
    for path in files:
        if not path.is_file():
            findings.error(
                VideoError(
                    "a stimulus file does not exist",
                    expected=path,
                    found="nothing",
                    where=study.root,
                    remedy="restore the file, or correct stim_file",
                )
            )
    try:
        return list(study.clips())
    except BrainflixError as error:
        if error.what != "a stimulus file does not exist":
            findings.error(error)
        return []


def check_decoding(
    study: Study,
    clips: Sequence[Clip],
    options: StimuliConfig,
    deadline: Deadline | None,
    findings: Findings,
) -> int:
    """Decode each file at the first and last frame of its clips; return how many were decoded.

    Without a deadline only the length of a file's container is compared with its clips.
    """
    by_file: dict[Path, list[Clip]] = defaultdict(list)
    bare, asked = [], 0
    for clip in clips:
        if clip.path is not None:
            by_file[Path(clip.path)].append(clip)
        elif not asked or (deadline is not None and not deadline.passed):
            asked += 1
            if not _held(study, clip, options, findings):
                bare.append(clip.id)
    if bare:
        findings.add(
            Problem(
                "fails",
                "clips have neither a file nor frames",
                expected="stim_file, or a reader that holds frames",
                found=f"{len(bare)} of {asked} looked at, such as {', '.join(bare[:3])}",
                where=str(study.root),
            )
        )
    if not clips:
        by_file = {path: [] for path in _movies(study)}
    decoded = 0
    for path, parts in by_file.items():
        try:
            if not path.is_file():
                continue
            if deadline is None or deadline.passed:
                _check_length(path, parts)
                continue
            _decode(path, parts, options)
            decoded += 1
        except BrainflixError as error:
            findings.error(error)
            decoded += 1
    return decoded


def _movies(study: Study) -> list[Path]:
    try:
        return [path for path in study.files() if path.suffix.lower() in MOVIES | PICTURES]
    except BrainflixError:
        return []


def _decode(path: Path, parts: Sequence[Clip], options: StimuliConfig) -> None:
    if path.suffix.lower() in PICTURES:
        read_picture(path)
        return
    times = [0.0]
    for part in parts:
        sampled = frame_times(part.onset, part.duration, options.frames)
        times += [float(sampled[0]), float(sampled[-1])]
    for _ in frames_at(path, times):
        pass


def _check_length(path: Path, parts: Sequence[Clip]) -> None:
    if path.suffix.lower() in PICTURES:
        return
    length = video_duration(path)
    end = max((part.onset + part.duration for part in parts), default=0.0)
    if end > length + 0.5:
        raise VideoError(
            "a clip lies behind the end of its video",
            expected=f"at least {end:g} s",
            found=f"{length:g} s",
            where=path,
            remedy="check clip_onset and clip_duration; if right, the file is cut",
        )


def _held(study: Study, clip: Clip, options: StimuliConfig, findings: Findings) -> bool:
    """Return whether a study holds a clip's frames, noting what is wrong with them."""
    try:
        frames = study.frames(clip)
        if frames is not None:
            sample_array(frames, options, where=f"clip {clip.id}")
        return frames is not None
    except BrainflixError as error:
        findings.error(error)
        return True


def check_splits(clips: Sequence[Clip], findings: Findings) -> None:
    """Note training and test clips that show the same: one stretch of a file, or equal files."""
    by_file: dict[Path, list[Clip]] = defaultdict(list)
    for clip in clips:
        if clip.path is not None:
            by_file[Path(clip.path)].append(clip)
    for path, parts in by_file.items():
        parts = sorted(parts, key=lambda part: part.onset)
        reach: dict[str, Clip] = {}
        for part in parts:
            other = reach.get("test" if part.split == "train" else "train")
            if other is not None and other.onset + other.duration > part.onset + OVERLAP:
                findings.add(_overlap(other, part, path))
                break
            best = reach.get(part.split)
            if best is None or part.onset + part.duration > best.onset + best.duration:
                reach[part.split] = part
    for same in _equal_files(by_file):
        splits = {clip.split: (clip, path) for path in same for clip in by_file[path]}
        if len(splits) > 1:
            findings.add(_overlap(splits["train"][0], splits["test"][0], splits["test"][1]))


def _overlap(first: Clip, second: Clip, path: Path) -> Problem:
    return Problem(
        "doubtful",
        "a training and a test clip show the same",
        expected="splits that share no stimulus",
        found=f"{first.id} ({first.split}) and {second.id} ({second.split})",
        where=str(path),
        remedy="put both into one split; a result on such clips is not a prediction",
    )


def _equal_files(by_file: Mapping[Path, object]) -> list[list[Path]]:
    """Return files of equal content; only those of equal size are read."""
    sizes: dict[int, list[Path]] = defaultdict(list)
    for path in by_file:
        if path.is_file():
            sizes[path.stat().st_size].append(path)
    contents: dict[str, list[Path]] = defaultdict(list)
    for size, paths in sizes.items():
        if size and len(paths) > 1:
            for path in paths:
                contents[file_digest(path)].append(path)
    return [paths for paths in contents.values() if len(paths) > 1]


def stimulus_facts(clips: Sequence[Clip], decoded: int) -> StimulusFacts:
    """Return the line about the clips."""
    return StimulusFacts(
        train_clips=sum(clip.split == "train" for clip in clips),
        test_clips=sum(clip.split == "test" for clip in clips),
        files=len({clip.path for clip in clips if clip.path is not None}),
        files_decoded=decoded,
        with_captions=sum(bool(clip.captions) for clip in clips),
        seconds=float(sum(clip.duration for clip in clips)),
    )
