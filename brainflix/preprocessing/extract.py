"""The stage ``extract``: the selected voxels' response to each presentation of a clip."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from brainflix.artifacts.store import create, open_artifact, write_dataset
from brainflix.config.studies import ResponseConfig
from brainflix.console import announce
from brainflix.errors import ArtifactError
from brainflix.preprocessing.runs import CleanedRun, number_trials, read_runs, require_training
from brainflix.provenance import code_digest


def extract(cleaned: Path, voxels: Path, options: ResponseConfig, out: Path) -> None:
    """Write the selected voxels' response to each trial, repeats as rows of their own.

    A response is ``window`` volumes from the one nearest to onset + delay on. It never leaves its
    run: the last volume stands for those past the end, and such trials are counted in the
    attribute ``clamped_trials``. Rows of trial-wise studies are responses already: delay 0,
    window 1.

    Parameters
    ----------
    cleaned, voxels : Path
        The artifacts cleaned.h5 and voxels.h5 of a subject.
    options : ResponseConfig
        Delay in s and window in volumes.
    out : Path
        The artifact responses.h5.

    Raises
    ------
    DataError
        When the subject has no training trials.
    ArtifactError
        When the two artifacts do not belong together.
    """
    with open_artifact(voxels, "voxels") as file:
        selected, position = file["selected"][()], file["position"][()]
    with open_artifact(cleaned, "cleaned") as source:
        if not np.array_equal(source["position"][()], position):
            raise ArtifactError(
                "the selected voxels belong to other runs",
                expected=f"the {source['position'].shape[0]} voxels of {cleaned}",
                found=f"{len(position)} voxels",
                where=voxels,
                remedy="run the stage select again",
            )
        subject, trialwise = str(source.attrs["subject"]), bool(source.attrs["trialwise"])
        runs = read_runs(source)
        require_training([run.split for run in runs], subject, cleaned)
        announce("extract", f"{subject}: reads {len(runs)} runs of {cleaned}")
        with create(
            out,
            "responses",
            configuration=options.model_dump(),
            inputs=[cleaned, voxels],
            code=code_digest(__name__),
        ) as file:
            clamped = _write_responses(file, source, runs, np.flatnonzero(selected), options)
            file.attrs.update(
                subject=subject,
                trialwise=trialwise,
                delay=0.0 if trialwise else options.delay,
                clamped_trials=clamped,
            )
            shape = file["responses"].shape
    announce(
        "extract",
        f"{subject}: writes responses (trial, window, voxel) {shape}, {clamped} at a run's end, "
        f"in {out}",
    )


def _write_responses(
    file: h5py.File,
    source: h5py.File,
    runs: list[CleanedRun],
    chosen: np.ndarray,
    options: ResponseConfig,
) -> int:
    """Write responses a run at a time and return how many windows were clamped."""
    windows = [run.windows(options.delay, options.window) for run in runs]
    counts = [len(run.clips) for run in runs]
    responses = file.create_dataset(
        "responses", (sum(counts), windows[0].index.shape[1], len(chosen)), dtype=np.float32
    )
    for axis, label in enumerate(("trial", "window", "voxel")):
        responses.dims[axis].label = label
    responses.attrs["units"] = "z"
    first = 0
    for run, window, count in zip(runs, windows, counts, strict=True):
        rows = source[f"runs/{run.name}/rows"][()][:, chosen]
        responses[first : first + count] = rows[window.index]  # (trial, window, voxel)
        first += count
    repeats = np.concatenate(number_trials(runs))
    write_dataset(file, "clip", [clip for run in runs for clip in run.clips], ("trial",))
    write_dataset(file, "repeat", repeats, ("trial",))
    write_dataset(file, "run", np.repeat([run.name for run in runs], counts), ("trial",))
    write_dataset(file, "split", np.repeat([run.split for run in runs], counts), ("trial",))
    write_dataset(file, "voxel", chosen, ("voxel",))
    return int(sum(window.clamped.sum() for window in windows))
