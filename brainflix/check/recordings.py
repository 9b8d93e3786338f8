"""A subject's runs: all that is wrong with them, not only what a reader stumbles over first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from brainflix.check.findings import Findings, Problem, SubjectFacts, span
from brainflix.config.studies import PreprocessingConfig, StudySource
from brainflix.errors import BrainflixError
from brainflix.formats import images
from brainflix.formats.tsv import read_table
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.preprocessing.atlas import region_mask
from brainflix.preprocessing.cleaned import trimmed_onsets
from brainflix.preprocessing.timing import response_windows
from brainflix.preprocessing.units import MIN_CLIPS, MIN_SETS
from brainflix.studies.bids.index import RUN_ENTITIES
from brainflix.studies.bids.recordings import read_sidecar
from brainflix.studies.readers import open_study
from brainflix.studies.study import Run, Study

TR_TOLERANCE = 0.001  # s
_ENTITY = f"(?:{'|'.join(RUN_ENTITIES)})-[A-Za-z0-9+]+"
_ADVISED = re.compile(r"ignore_runs: \[([^\],]+)\]")
_RUN = re.compile(f"{_ENTITY}(?:_{_ENTITY})*")


class SubjectRuns:
    """What could be understood of a subject: the study, its runs and voxels, if any."""

    def __init__(self, study: Study, runs: Sequence[Run], voxels: VoxelSpace | None) -> None:
        self.study, self.runs, self.voxels = study, tuple(runs), voxels
        self.read = 0
        self.unusable: np.ndarray | None = None


def find_runs(source: StudySource, subject: str, findings: Findings) -> SubjectRuns:
    """Return a subject's sound runs, noting what is wrong with the others.

    A reader ends at the first fault. Where it can leave runs out (the option ``ignore_runs``), the
    run that its error names is left out and the study is read again; otherwise, and for faults
    that name no run, every file is looked at alone.
    """
    ignored = list(source.options.get("ignore_runs", ()))
    options = dict(source.options)
    while True:
        study = open_study(source.model_copy(update={"options": options}))
        try:
            study.checked_files(subject)
            runs = study.runs(subject)
            return SubjectRuns(study, runs, study.voxels(subject))
        except BrainflixError as error:
            findings.error(error)
            name = _run_named(error)
            if name is None or name in ignored or not _can_ignore(study):
                _probe_files(study, subject, findings)
                return SubjectRuns(study, (), None)
            ignored.append(name)
            options["ignore_runs"] = ignored


def _can_ignore(study: Study) -> bool:
    """Return whether the study's reader has the option ``ignore_runs``."""
    return "ignore_runs" in study.Options.model_fields


def _run_named(error: BrainflixError) -> str | None:
    """Return the name of the run that an error is about, such as "task-train_run-02"."""
    advised = _ADVISED.search(error.remedy or "")
    if advised is not None:
        return advised[1]
    text = f"{error.where} {error.expected} {error.found}"
    names = [match[0] for match in _RUN.finditer(text) if "run-" in match[0] or "task-" in match[0]]
    return max(names, key=len, default=None)


def _probe_files(study: Study, subject: str, findings: Findings) -> None:
    """Look at each file alone, and note a header or a text that cannot be read."""
    try:
        files = study.files(subject)
    except BrainflixError:
        return
    for path in files:
        try:
            if path.name.endswith((".nii", ".nii.gz")):
                images.open_image(path)
            elif path.suffix == ".tsv":
                read_table(path)
            elif path.suffix == ".json":
                read_sidecar(path)
        except BrainflixError as error:
            findings.error(error)


def read_values(subject_runs: SubjectRuns, run: Run, findings: Findings) -> None:
    """Read a run to its end, and note voxels that are constant or not finite."""
    try:
        rows = subject_runs.study.load(run)
    except BrainflixError as error:
        findings.error(error)
        return
    finally:
        subject_runs.read += 1
    finite = np.isfinite(rows).all(axis=0)
    unusable = ~finite if run.trialwise else ~(finite & (np.ptp(rows, axis=0) > 0))
    subject_runs.unusable = (
        unusable if subject_runs.unusable is None else subject_runs.unusable | unusable
    )
    if unusable.all():
        findings.add(
            Problem(
                "fails",
                "no voxel of a run is finite and varies",
                expected="at least one",
                found=f"{len(unusable)} that are not",
                where=f"{run.subject}, run {run.id}, {run.paths[0] if run.paths else ''}",
                remedy="look at that run; leave it out if it is damaged",
            )
        )


def check_runs(
    subject_runs: SubjectRuns, subject: str, options: PreprocessingConfig, findings: Findings
) -> None:
    """Note what the stages of preprocessing would refuse, and what is doubtful."""
    training = [run for run in subject_runs.runs if run.split == "train"]
    if subject_runs.runs and not training:
        findings.add(
            Problem(
                "fails",
                "no training trials",
                expected="runs of training clips",
                found=f"{len(subject_runs.runs)} test runs",
                where=subject,
            )
        )
    for run in subject_runs.runs:
        _check_timing(run, options, findings)
        _check_repetition_time(run, findings)
        if options.cleaning.confounds:
            _attempt(
                lambda run=run: subject_runs.study.confounds(run, options.cleaning.confounds),
                findings,
            )
    if options.selection.method == "reproducibility" and training:
        _check_repeats(training, subject, findings)
    _check_even_repeats(subject_runs.runs, subject, findings)
    if subject_runs.voxels is not None and options.selection.atlas is not None:
        space, selection = subject_runs.voxels, options.selection
        _attempt(
            lambda: region_mask(space, Path(str(selection.atlas)), selection.regions), findings
        )


def _attempt(action: object, findings: Findings) -> None:
    try:
        action()  # type: ignore[operator]
    except BrainflixError as error:
        findings.error(error)


def _check_timing(run: Run, options: PreprocessingConfig, findings: Findings) -> None:
    if run.trialwise:
        return
    kept = run.n_volumes - options.cleaning.trim_start - options.cleaning.trim_end
    try:
        onset = trimmed_onsets(run, options.cleaning)
        response = options.response
        windows = response_windows(
            onset, response.delay, response.window, run.repetition_time, kept
        )
    except BrainflixError as error:
        findings.error(error)
        return
    clamped = int(windows.clamped.sum())
    if clamped > 0.05 * len(onset) and clamped > 2:
        findings.add(
            Problem(
                "doubtful",
                "a run ends before the responses to its last clips",
                expected=f"volumes until {options.response.delay:g} s and {response.window} "
                "volumes after the last onset",
                found=f"{clamped} of {len(onset)} responses repeat the last volume",
                where=f"{run.subject}, run {run.id}",
            )
        )


def _check_repetition_time(run: Run, findings: Findings) -> None:
    header = header_time(run)
    if header is not None and abs(header - run.repetition_time) > TR_TOLERANCE:
        findings.add(
            Problem(
                "doubtful",
                "the header's repetition time is not the one that is used",
                expected=f"{run.repetition_time:g} s, of the sidecar or the reader",
                found=f"{header:g} s",
                where=f"{run.subject}, run {run.id}, {run.paths[0]}",
                remedy="make sure that the one that is used is right",
            )
        )


def header_time(run: Run) -> float | None:
    """Return the TR in s of a run's image header, None where it has no such header."""
    if run.trialwise or not run.paths or not run.paths[0].name.endswith((".nii", ".nii.gz")):
        return None
    try:
        return images.read_header(run.paths[0]).repetition_time
    except BrainflixError:
        return None


def presentations(runs: Sequence[Run]) -> Counter[str]:
    """Return how often each clip is shown."""
    return Counter(event.clip for run in runs for event in run.events)


def _check_repeats(training: Sequence[Run], subject: str, findings: Findings) -> None:
    """Note when there are too few repeats to judge voxels by."""
    shown = presentations(training)
    sets: dict[str, set[str]] = {}
    for run in training:
        sets.setdefault(run.group, set()).update(event.clip for event in run.events)
    repeated = {
        group: [shown[clip] for clip in clips if shown[clip] >= 2] for group, clips in sets.items()
    }
    usable = [counts for counts in repeated.values() if len(counts) >= MIN_CLIPS]
    pairs = sum(sorted(counts)[-MIN_CLIPS] // 2 for counts in usable)
    units = len(usable) if len(usable) >= MIN_SETS else max(len(usable), pairs)
    if units < 2:
        findings.add(
            Problem(
                "fails",
                "voxels cannot be selected by reproducibility: too few training repeats",
                expected=f"at least two sets of {MIN_CLIPS} or more training clips shown twice, or "
                "four repeats of one set",
                found=f"{len(usable)} such sets, training clips shown {span(shown.values())} times",
                where=subject,
                remedy="set preprocessing.selection.method to all, with an atlas if there is one",
            )
        )


def _check_even_repeats(runs: Sequence[Run], subject: str, findings: Findings) -> None:
    for split in ("train", "test"):
        counts = presentations([run for run in runs if run.split == split])
        if not counts:
            continue
        often = Counter(counts.values())
        usual = max(often, key=lambda count: (often[count], count))
        fewer = sorted(clip for clip, count in counts.items() if count < usual)
        if fewer:
            findings.add(
                Problem(
                    "doubtful",
                    f"repeats of {split} clips are missing",
                    expected=f"{usual} presentations of each clip",
                    found=f"fewer of {len(fewer)} clips, such as {', '.join(fewer[:3])}",
                    where=subject,
                )
            )


def subject_facts(subject: str, subject_runs: SubjectRuns) -> SubjectFacts:
    """Return a subject's line of the table."""
    runs = subject_runs.runs
    train = [run for run in runs if run.split == "train"]
    test = [run for run in runs if run.split == "test"]
    series = [run for run in runs if not run.trialwise]
    headers = [time for time in map(header_time, series) if time is not None]
    spare = [
        run.n_volumes * run.repetition_time - max(e.onset + e.duration for e in run.events)
        for run in series
    ]
    return SubjectFacts(
        subject=subject,
        train_runs=len(train),
        test_runs=len(test),
        volumes=span(run.n_volumes for run in runs),
        trials=sum(len(run.events) for run in runs),
        train_repeats=span(presentations(train).values()),
        test_repeats=span(presentations(test).values()),
        voxels=0 if subject_runs.voxels is None else len(subject_runs.voxels),
        unusable=0 if subject_runs.unusable is None else int(subject_runs.unusable.sum()),
        repetition_time=span((run.repetition_time for run in series), 3),
        header_time=span(headers, 3),
        spare=span(spare, 1),
        runs_read=subject_runs.read,
    )
