"""Clips whose films lie in a folder that a person downloads."""

from __future__ import annotations

from pathlib import Path

from brainflix.errors import StudyError
from brainflix.studies.bids.stimuli import StimulusTable
from brainflix.studies.study import Clip


def stimulus_clips(stimuli: StimulusTable, folder: Path) -> tuple[Clip, ...]:
    """Return the clips of a table whose files lie in a folder; files that are missing are named.

    Raises
    ------
    StudyError
        When a file does not exist.
    """
    clips = []
    for stimulus in stimuli.by_clip.values():
        path = folder / str(stimulus.file)
        if not path.is_file():
            raise StudyError(
                "a stimulus file does not exist",
                expected=path,
                found="nothing",
                where=stimuli.where,
                remedy="download the stimulus set, after agreeing to its terms of use, and unpack "
                f"it so that {folder} exists",
            )
        clips.append(
            Clip(
                id=stimulus.clip,
                split=stimulus.split or "",
                group=stimulus.group or stimulus.clip,
                path=path,
                duration=stimulus.duration or 1.0,
                captions=stimulus.captions,
                attributes=stimulus.attributes,
            )
        )
    return tuple(clips)
