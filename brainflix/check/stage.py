"""The check of a study: all that is wrong, found in minutes and before a run."""

from __future__ import annotations

from collections.abc import Sequence

from brainflix.check import recordings, stimuli
from brainflix.check.estimates import estimate
from brainflix.check.findings import (
    Deadline,
    Estimate,
    Findings,
    Problem,
    StimulusFacts,
    StudyCheck,
)
from brainflix.check.recordings import SubjectRuns
from brainflix.config.studies import PreprocessingConfig, StimuliConfig, StudySource
from brainflix.console import track
from brainflix.errors import BrainflixError
from brainflix.studies.readers import open_study
from brainflix.studies.study import Study


def check_study(
    name: str,
    source: StudySource,
    subjects: Sequence[str] = (),
    preprocessing: PreprocessingConfig | None = None,
    options: StimuliConfig | None = None,
    *,
    quick: bool = False,
    seconds: float = 300.0,
) -> StudyCheck:
    """Look at a study as the stages will, and go on where they would stop.

    Parameters
    ----------
    name : str
        The study's name, for the table.
    source : StudySource
        Where it lies.
    subjects : sequence of str
        Those that a run would use; by default all on disk.
    preprocessing, options : PreprocessingConfig, StimuliConfig, optional
        What a run would do with it; the defaults where nothing is given.
    quick : bool
        Neither read values nor decode videos.
    seconds : float
        Time for reading values, and again for decoding; a study too large for it is read in part,
        a run of each subject first, and the table says how much.

    Raises
    ------
    ConfigError
        For an unknown reader, or options that it does not know.
    """
    preprocessing, options = preprocessing or PreprocessingConfig(), options or StimuliConfig()
    findings = Findings()
    study = open_study(source)
    chosen = _subjects(study, subjects, findings)
    runs = {
        subject: recordings.find_runs(source, subject, findings)
        for subject in track(chosen, f"check {name}", len(chosen))
    }
    if not quick:
        _read(runs, Deadline(seconds), findings)
    for subject, one in runs.items():
        recordings.check_runs(one, subject, preprocessing, findings)
    clips = stimuli.find_clips(study, findings) if chosen else []
    deadline = None if quick else Deadline(seconds)
    decoded = stimuli.check_decoding(study, clips, options, deadline, findings) if chosen else 0
    stimuli.check_splits(clips, findings)
    _check_shown(runs, {clip.id: clip.split for clip in clips}, findings)
    return StudyCheck(
        study=name,
        reader=source.reader,
        root=source.root,
        subjects=tuple(recordings.subject_facts(subject, one) for subject, one in runs.items()),
        stimuli=stimuli.stimulus_facts(clips, decoded) if clips else StimulusFacts(),
        problems=findings.sorted(),
        notices=_notices(study, chosen),
        estimate=estimate(runs, clips, preprocessing, options) if runs else Estimate(),
    )


def _subjects(study: Study, wanted: Sequence[str], findings: Findings) -> list[str]:
    """Return the subjects that exist, noting those that do not."""
    try:
        known = study.subjects()
    except BrainflixError as error:
        findings.error(error)
        return []
    for subject in wanted:
        if subject not in known:
            findings.add(
                Problem(
                    "fails",
                    "the subject is not in the study",
                    expected=", ".join(known) or "subjects",
                    found=subject,
                    where=str(study.root),
                )
            )
    if not known:
        findings.add(Problem("fails", "the study has no subjects", where=str(study.root)))
    return [subject for subject in wanted or known if subject in known]


def _read(runs: dict[str, SubjectRuns], deadline: Deadline, findings: Findings) -> None:
    """Read runs in turn, the first of each subject, then the second, while there is time."""
    longest = max((len(one.runs) for one in runs.values()), default=0)
    for number in range(longest):
        for one in runs.values():
            if number < len(one.runs) and not deadline.passed:
                recordings.read_values(one, one.runs[number], findings)


def _check_shown(runs: dict[str, SubjectRuns], splits: dict[str, str], findings: Findings) -> None:
    """Note clips that no subject saw, and subjects that saw no test clip."""
    if not splits or not all(one.runs for one in runs.values()):
        return
    shown = {clip for one in runs.values() for clip in recordings.presentations(one.runs)}
    unseen = sorted(set(splits) - shown)
    if unseen:
        findings.add(
            Problem(
                "doubtful",
                "clips are listed that none of the subjects saw",
                found=f"{len(unseen)} of {len(splits)}, such as {', '.join(unseen[:3])}",
                remedy="nothing, if these subjects saw a part; else compare names with the events",
            )
        )
    for subject, one in runs.items():
        if not any(run.split == "test" for run in one.runs):
            findings.add(
                Problem(
                    "doubtful",
                    "a subject saw no test clip",
                    found="training runs alone",
                    where=subject,
                    remedy="it can help to train, but nothing of it is reconstructed",
                )
            )


def _notices(study: Study, subjects: Sequence[str]) -> tuple[str, ...]:
    notices: dict[str, None] = {}
    for subject in subjects:
        try:
            notices.update(dict.fromkeys(study.notices(subject)))
        except BrainflixError:
            continue
    return tuple(notices)
