"""The stages clean, select and extract: from a subject's runs to responses, a row a trial."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np

from brainflix.artifacts import create, open_artifact, write_dataset
from brainflix.config import CleaningConfig, ResponseConfig, SelectionConfig, StudySource
from brainflix.console import announce
from brainflix.errors import ArtifactError, ConfigError, DataError
from brainflix.preprocessing.atlas import Atlas, atlas_files, read_atlas
from brainflix.preprocessing.cleaned import (
    CleanedWriter,
    read_space,
    write_space,
    write_trials,
    write_volumes,
)
from brainflix.preprocessing.plots import VoxelPicture, plot_voxels
from brainflix.preprocessing.reliability import Passed, noise_ceiling, pass_voxels
from brainflix.preprocessing.trials import CleanedRun, number_trials, read_runs, require_training
from brainflix.preprocessing.units import MIN_CLIPS, Evidence, gather_evidence
from brainflix.provenance import code_digest
from brainflix.studies import VoxelSpace, open_study

CEILING_FORMULA = (
    "sqrt(rho), rho = mean correlation between single training repeats (negative ones are 0): "
    "the largest correlation of a perfect model with one repeat; of the mean of n repeats, "
    "sqrt(n rho / (1 + (n - 1) rho)). Lage-Castellanos et al. 2019, 10.1371/journal.pcbi.1006397"
)


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
    announce("clean", f"{subject}: leaves {kept} voxels ({dropped} dropped) in {out}")


def select(cleaned: Path, options: SelectionConfig, out: Path, plot: Path | None = None) -> None:
    """Choose the voxels whose responses recur over training repeats.

    Test runs are not read. Correlations between repeats are Fisher-transformed and tested against
    0 by a one-sided t-test over independent units, see :mod:`brainflix.preprocessing.units`.

    Parameters
    ----------
    cleaned : Path
        The artifact cleaned.h5.
    options : SelectionConfig
        Method, correction, region; ``method="all"`` keeps all voxels (of the region).
    out : Path
        The artifact voxels.h5.
    plot : Path, optional
        A PNG of the statistics.

    Raises
    ------
    DataError
        When there are too few repeats for the t-test, or no voxel passes.
    ConfigError
        When regions are asked for without an atlas, or the atlas lacks them.
    """
    with open_artifact(cleaned, "cleaned") as file:
        subject = str(file.attrs["subject"])
        training = [run for run in read_runs(file) if run.split == "train"]
        require_training([run.split for run in training], subject, cleaned)
        announce("select", f"{subject}: reads {len(training)} training runs, {cleaned}")
        default = ResponseConfig()
        delay = default.delay if options.delay is None else options.delay
        window = default.window if options.window is None else options.window
        evidence = gather_evidence(file, training, delay, window)
        voxels = read_space(file)
        atlas = _atlas(options, voxels)
        region = None if atlas is None else atlas.mask(options.regions)
    passed = _choose(evidence, options, region, f"{subject}, {cleaned}")
    threshold = _t_threshold(passed, evidence)
    attributes = {
        "subject": subject,
        "method": options.method,
        "correction": options.correction,
        "alpha": options.alpha,
        "threshold": threshold,
        "p_threshold": passed.p_threshold,
        "dof": evidence.dof,
        "unit": evidence.kind,
        "delay": delay,
        "window": window,
        "n_selected": int(passed.selected.sum()),
        "n_tested": len(voxels) if region is None else int(region.sum()),
        "noise_ceiling_formula": CEILING_FORMULA,
    }
    with create(
        out,
        "voxels",
        configuration=options.model_dump(),
        inputs=[cleaned, *(atlas_files(options.atlas) if options.atlas else [])],
        code=code_digest(__name__),
    ) as file:
        _write_voxels(file, evidence, passed, voxels)
        if atlas is not None:
            write_dataset(file, "region", atlas.named(), ("voxel",))
            file.attrs["atlas"] = atlas.where
        file.attrs.update(attributes)
    count = f"{attributes['n_selected']} of {len(voxels)} voxels selected"
    if plot is not None:
        reproducibility = np.tanh(evidence.mean_z)
        picture = VoxelPicture(reproducibility, evidence.t, passed.selected, threshold, voxels)
        plot_voxels(plot, f"{subject}: {count}", picture)
    announce("select", f"{subject}: leaves {count} in {out}")


def _write_voxels(file: h5py.File, evidence: Evidence, passed: Passed, voxels: VoxelSpace) -> None:
    reproducibility = np.tanh(evidence.mean_z)
    write_dataset(file, "t", evidence.t, ("voxel",))
    write_dataset(file, "p", evidence.p, ("voxel",))
    write_dataset(file, "reproducibility", reproducibility, ("voxel",))
    write_dataset(file, "noise_ceiling", noise_ceiling(reproducibility), ("voxel",))
    write_dataset(file, "selected", passed.selected, ("voxel",))
    write_space(file, voxels)


def _atlas(options: SelectionConfig, voxels: VoxelSpace) -> Atlas | None:
    """Return the configured atlas, None where there is none."""
    if options.atlas is None:
        if options.regions:
            raise ConfigError(
                "regions are named without an atlas",
                expected="preprocessing.selection.atlas",
                found=list(options.regions),
                where="preprocessing.selection.regions",
            )
        return None
    return read_atlas(voxels, options.atlas)


def _choose(
    evidence: Evidence, options: SelectionConfig, region: np.ndarray | None, where: str
) -> Passed:
    """Return the selected voxels, or say why there are none."""
    if options.method == "all":
        everything = np.ones(len(evidence.t), dtype=bool) if region is None else region
        return Passed(everything, 1.0)
    if evidence.dof < 1:
        raise DataError(
            "voxels cannot be selected by reproducibility: too few training repeats",
            expected=f"at least two sets of {MIN_CLIPS} or more training clips shown twice, or "
            "four repeats of one set",
            found="one repeat only, or a single repeated set",
            where=where,
            remedy="set preprocessing.selection.method to all, with an atlas if there is one, "
            "or add repeats of training runs",
        )
    passed = pass_voxels(evidence.p, options.correction, options.alpha, options.fraction, region)
    if not passed.selected.any():
        tested = evidence.p if region is None else evidence.p[region]
        raise DataError(
            "no voxel responds reproducibly",
            expected=f"P of {passed.p_threshold:.3g} or less ({options.correction}, alpha "
            f"{options.alpha:g}, {len(tested)} voxels)",
            found=f"smallest P {tested.min():.3g} at {evidence.dof} degrees of freedom",
            where=where,
            remedy="check events, delay and stimuli; then raise preprocessing.selection.alpha",
        )
    return passed


def _t_threshold(passed: Passed, evidence: Evidence) -> float:
    """Return the smallest t that passes, -inf when everything does."""
    from scipy.special import stdtrit

    if evidence.dof < 1 or passed.p_threshold >= 1:
        return float("-inf")
    return float(-stdtrit(evidence.dof, passed.p_threshold))


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
        f"{subject}: leaves responses (trial, window, voxel) {shape}, {clamped} at a run's end, "
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
