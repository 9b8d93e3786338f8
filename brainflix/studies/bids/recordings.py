"""The recordings of a subject in a BIDS derivatives folder, with the files that belong to each."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brainflix.errors import StudyError
from brainflix.formats.tsv import read_table
from brainflix.studies.bids.index import (
    CIFTI,
    GIFTI,
    BidsFile,
    BidsOptions,
    choose_series,
    companion,
    hemispheres,
    list_files,
    parse_name,
    run_name,
    same_entity,
)

_MASKS = (".nii.gz", ".nii")


@dataclass(frozen=True)
class Recording:
    """A time series and the files that belong to it; None for one that is missing.

    Parameters
    ----------
    series : BidsFile
        The file; of two hemispheres, the left one.
    events, mask, confounds, sidecar : Path or None
        Files that belong to it.
    parts : tuple of Path
        All files of the series; empty stands for ``series`` alone.
    movie : str or None
        The stimulus that a run without events shows.
    """

    series: BidsFile
    events: Path | None
    mask: Path | None
    confounds: Path | None
    sidecar: Path | None
    parts: tuple[Path, ...] = ()
    movie: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files of the series: one, or one per hemisphere."""
        return self.parts or (self.series.path,)

    @property
    def name(self) -> str:
        """The run's name, such as "ses-01_task-train_run-02"."""
        return run_name(self.series.run)

    @property
    def task(self) -> str:
        """The task entity, empty without one."""
        return self.series.entities.get("task", "")

    def files(self) -> list[Path]:
        """Return all files of the recording."""
        others = (self.events, self.mask, self.confounds, self.sidecar)
        return [*self.paths, *(path for path in others if path is not None)]


def list_recordings(root: Path, subject: str, options: BidsOptions) -> list[Recording]:
    """Return a subject's recordings in order, and refuse a study from which one is missing.

    A run is missing when an events table or a subject's ``scans.tsv`` names a recording of which
    no series in the chosen space exists.

    Raises
    ------
    StudyError
        When the study, the subject, a run, its events or its mask is missing.
    """
    folder = root / options.derivatives
    beside = options.derivatives and (root / subject).is_dir()
    raw = "" if options.raw is None and beside else options.raw
    files = list_files(folder, subject)
    tables = files if raw is None else [*files, *list_files(root / raw, subject)]
    series = choose_series(files, options)
    _refuse_missing(series, tables, options, folder / subject)
    if not series:
        raise StudyError(
            "the subject has no runs",
            expected=f"files *_{options.suffix} of {' or '.join(options.extensions())}, "
            f"desc {options.desc}, space {options.space or 'any'}",
            found=f"{len(files)} files, none of them fitting",
            where=folder / subject,
            remedy="compare the reader's options space, desc, format and entities with the files",
        )
    return [_recording(one, files, tables, root, subject, options) for one in series]


def _recording(
    series: BidsFile,
    files: Sequence[BidsFile],
    tables: Sequence[BidsFile],
    root: Path,
    subject: str,
    options: BidsOptions,
) -> Recording:
    events = companion(tables, series, "events", (".tsv",), "")
    movie = None if events is not None else _movie(series, options)
    if events is None and movie is None:
        raise StudyError(
            "a run has no events",
            expected=f"{subject}_{run_name(series.run)}_events.tsv",
            found="nothing",
            where=series.path.parent,
            remedy="put events.tsv next to the run, name the raw folder by the option raw, "
            "name the study's tasks by train_tasks and test_tasks, or the film that a run shows "
            "by the option movies",
        )
    confounds = companion(files, series, "timeseries", (".tsv",), "confounds") or companion(
        files, series, "regressors", (".tsv",), "confounds"
    )
    sidecar = series.path.with_name(series.path.name.removesuffix(series.extension) + ".json")
    return Recording(
        series=series,
        events=None if events is None else events.path,
        mask=_mask(series, files, root, subject, options),
        confounds=None if confounds is None else confounds.path,
        sidecar=sidecar if sidecar.is_file() else None,
        parts=tuple(part.path for part in hemispheres(files, series, options)),
        movie=movie,
    )


def _movie(series: BidsFile, options: BidsOptions) -> str | None:
    """Return the file that a run without events shows, by the option movies."""
    name = run_name(series.run)
    for pattern, file in options.movies.items():
        if fnmatch.fnmatchcase(name, pattern):
            return file
    return None


def _mask(
    series: BidsFile, files: Sequence[BidsFile], root: Path, subject: str, options: BidsOptions
) -> Path | None:
    if series.extension in (CIFTI, GIFTI):
        return None
    if options.mask is not None:
        path = root / options.mask.replace("{subject}", subject)
        mask_path = path if path.is_file() else None
    else:
        mask = companion(files, series, "mask", _MASKS, "brain")
        mask_path = None if mask is None else mask.path
    if mask_path is None:
        raise StudyError(
            "a run has no brain mask",
            expected=options.mask or "a file *_desc-brain_mask.nii.gz of the run or the subject",
            found="nothing",
            where=series.path,
            remedy="name a mask by the reader's option mask",
        )
    return mask_path


def _refuse_missing(
    series: Sequence[BidsFile], files: Sequence[BidsFile], options: BidsOptions, subject: Path
) -> None:
    """Raise when a recording that events or a scans table promise has no series."""
    promised = [(file, file.path) for file in files if file.suffix == "events"]
    for table in files:
        if table.suffix == "scans" and table.extension == ".tsv":
            promised += [(scan, table.path) for scan in _scans(table, options.suffix)]
    there = [dict(one.run) for one in series]
    for file, where in promised:
        name = run_name(file.run)
        if not options.wants(file.entities.get("task", "")) or name in options.ignore_runs:
            continue
        if not any(all(same_entity(k, v, one.get(k)) for k, v in file.run) for one in there):
            raise StudyError(
                "a run is missing",
                expected=f"a series of {name} in space {options.space or 'any'}",
                found=f"{len(series)} other runs",
                where=f"{subject}, named by {where.name}",
                remedy="restore its files, list its name under the reader's option ignore_runs, or "
                "name the study's tasks by train_tasks and test_tasks",
            )


def _scans(table: BidsFile, suffix: str) -> list[BidsFile]:
    scans = read_table(table.path, ("filename",))
    files = (parse_name(table.path.parent / row["filename"]) for row in scans.rows)
    return [file for file in files if file is not None and file.suffix == suffix]


def read_sidecar(path: Path | None) -> dict[str, Any]:
    """Return a JSON sidecar, empty without one.

    Raises
    ------
    StudyError
        When it is not a JSON object.
    """
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise StudyError("the sidecar cannot be read", found=str(error), where=path) from error
    if not isinstance(content, dict):
        raise StudyError(
            "the sidecar is not an object",
            expected="{...}",
            found=type(content).__name__,
            where=path,
        )
    return content


def sidecar_seconds(sidecar: dict[str, Any], key: str, where: Path | None) -> float | None:
    """Return a time of a sidecar in s, None when it is not given."""
    value = sidecar.get(key)
    if value is None:
        return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not abs(value) < 1e9:  # NaN is not below either
        raise StudyError(
            f"{key} is not a number", expected="a time in s", found=repr(value)[:80], where=where
        )
    return float(value)
