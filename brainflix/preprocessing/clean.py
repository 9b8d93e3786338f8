"""The stage ``clean``: from a subject's runs to z-scored rows."""

from __future__ import annotations

import json
from pathlib import Path

from brainflix.artifacts.store import create
from brainflix.config.studies import CleaningConfig, StudySource
from brainflix.console import announce
from brainflix.preprocessing.cleaned import CleanedWriter, write_trials, write_volumes
from brainflix.preprocessing.runs import require_training
from brainflix.provenance import code_digest
from brainflix.studies.readers import open_study


def clean(source: StudySource, subject: str, options: CleaningConfig, out: Path) -> None:
    """Read a subject's runs one at a time and write them trimmed, detrended and z-scored.

    Trial-wise studies (betas) are scaled by the mean and deviation of the training trials instead.

    Parameters
    ----------
    source : StudySource
        The study and its reader.
    subject : str
        Label of the subject.
    options : CleaningConfig
        What is removed.
    out : Path
        The artifact cleaned.h5.

    Raises
    ------
    StudyError
        When a file of the study is missing, damaged or inconsistent.
    DataError
        When the subject has no training runs, no voxel is usable, or trimming cuts into stimuli.
    """
    study = open_study(source)
    files = study.checked_files(subject)
    runs = study.runs(subject)
    require_training([run.split for run in runs], subject, source.root)
    voxels = study.voxels(subject)
    announce("clean", f"{subject}: reads {len(runs)} runs of {len(voxels)} voxels, {source.root}")
    with create(
        out,
        "cleaned",
        configuration={"source": source.model_dump(), "cleaning": options.model_dump()},
        inputs=files,
        code=code_digest(__name__),
    ) as file:
        trialwise = all(run.trialwise for run in runs)
        writer = CleanedWriter(file, len(voxels))
        (write_trials if trialwise else write_volumes)(study, runs, options, writer)
        writer.finish(voxels)
        notices = study.notices(subject)
        file.attrs.update(subject=subject, trialwise=trialwise, notices=json.dumps(notices))
        kept, dropped = int(writer.keep.sum()), int((~writer.keep).sum())
    for notice in notices:
        announce("clean", f"{subject}: {notice}")
    announce("clean", f"{subject}: writes {kept} voxels ({dropped} dropped) to {out}")
