"""events.tsv: what was shown when, and its translation into presentations of clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from brainflix.errors import StudyError
from brainflix.formats.tsv import Table, read_table
from brainflix.studies.bids.index import BidsOptions
from brainflix.studies.bids.recordings import Recording
from brainflix.studies.bids.stimuli import Stimulus, StimulusTable, condition_name, stimulus_file
from brainflix.studies.study import Event

TOLERANCE = 0.05  # s, by which a movie's event may end before its last clip


@dataclass(frozen=True)
class Showing:
    """A line of events.tsv that shows something: a file, a named clip or a condition."""

    onset: float
    duration: float | None
    file: str | None
    clip: str | None
    where: str


def recording_showings(recording: Recording, options: BidsOptions) -> list[Showing]:
    """Return what a recording shows: the lines of its events, or the one movie of the options."""
    if recording.events is not None:
        return read_showings(recording.events, options)
    where = f"the reader's option movies, run {recording.name}"
    file = stimulus_file(recording.movie or "", options.stimuli, where)
    return [Showing(options.event_offset, None, file, None, where)]


def read_showings(path: Path, options: BidsOptions) -> list[Showing]:
    """Return the lines of events.tsv that show a stimulus, in the order of their onsets.

    Raises
    ------
    StudyError
        When a column is missing, a time is not a number, or no line shows a stimulus.
    """
    table = read_table(path, ("onset", "duration"))
    if not {options.clip_column, "clip"} & set(table.columns):
        raise StudyError(
            "the events do not say what was shown",
            expected=f"a column {options.clip_column} or clip",
            found=", ".join(table.columns),
            where=path,
            remedy="add stim_file to events.tsv, or set the reader's option clip_column",
        )
    rows = (_showing(table, row, options) for row in range(len(table.rows)))
    showings = sorted((one for one in rows if one is not None), key=lambda one: one.onset)
    if not showings:
        raise StudyError(
            "no event of the run shows a stimulus",
            expected=f"lines with {options.clip_column}",
            found=f"{len(table.rows)} lines without",
            where=path,
            remedy="name the study's tasks by the reader's options train_tasks and test_tasks",
        )
    return showings


def _showing(table: Table, row: int, options: BidsOptions) -> Showing | None:
    cells, where = table.rows[row], table.line(row)
    shown, clip = cells.get(options.clip_column, ""), cells.get("clip") or None
    if cells.get("trial_type") in options.exclude_trial_types or not (shown or clip):
        return None
    onset = table.number(row, "onset")
    if onset is None:
        raise StudyError("an event has no onset", expected="a time in s", where=where)
    if options.clip_column == "trial_type":
        file, clip = None, clip or condition_name(shown)
    else:
        file = stimulus_file(shown, options.stimuli, where) if shown else None
    return Showing(onset + options.event_offset, table.number(row, "duration"), file, clip, where)


def presentations(showings: Sequence[Showing], stimuli: StimulusTable) -> list[Event]:
    """Return the presentations of clips; a movie that is shown whole becomes many.

    Raises
    ------
    StudyError
        When a stimulus is not listed, or a movie's event ends before its last clip.
    """
    events: list[Event] = []
    for showing in showings:
        if showing.clip is not None and showing.clip in stimuli.by_clip:
            events.append(_single(showing, stimuli.by_clip[showing.clip]))
            continue
        parts = stimuli.by_file.get(showing.file or "", [])
        if showing.clip is not None or not parts:
            raise StudyError(
                "an event shows a stimulus that the study does not list",
                expected=f"a line in {stimuli.where}",
                found=showing.clip or showing.file,
                where=showing.where,
                remedy="add the clip to the table, or correct the event",
            )
        if len(parts) == 1 and parts[0].whole:
            events.append(_single(showing, parts[0]))
        else:
            events += _cut(showing, parts)
    return events


def _single(showing: Showing, stimulus: Stimulus) -> Event:
    duration = showing.duration if showing.duration is not None else stimulus.duration
    return Event(showing.onset, duration or 0.0, stimulus.clip)


def _cut(showing: Showing, parts: Sequence[Stimulus]) -> list[Event]:
    """Return one event for each clip of a movie that starts at the showing's onset."""
    events = []
    for part in parts:
        if part.duration is None:
            raise StudyError(
                "a clip of a movie has no duration",
                expected="clip_duration in stimuli.tsv",
                found=f"clip {part.clip} of {part.file}",
                where=showing.where,
            )
        end = part.onset + part.duration
        if showing.duration is not None and end > showing.duration + TOLERANCE:
            raise StudyError(
                "an event is shorter than the clips of its movie",
                expected=f"{end:g} s, the end of clip {part.clip}",
                found=f"{showing.duration:g} s",
                where=showing.where,
                remedy="correct the event's duration, or list only clips that were shown",
            )
        events.append(Event(showing.onset + part.onset, part.duration, part.clip))
    return events
