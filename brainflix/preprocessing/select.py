"""The stage ``select``: the voxels whose responses to the same clips recur."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

from brainflix.artifacts.store import create, open_artifact, write_dataset
from brainflix.artifacts.voxels import read_space, write_space
from brainflix.config.studies import ResponseConfig, SelectionConfig
from brainflix.console import announce
from brainflix.errors import ConfigError, DataError
from brainflix.formats.voxel_space import VoxelSpace
from brainflix.preprocessing.atlas import Atlas, atlas_files, read_atlas
from brainflix.preprocessing.plots import VoxelPicture, plot_voxels
from brainflix.preprocessing.reliability import Passed, noise_ceiling, pass_voxels
from brainflix.preprocessing.runs import read_runs, require_training
from brainflix.preprocessing.units import MIN_CLIPS, Evidence, gather_evidence
from brainflix.provenance import code_digest

CEILING_FORMULA = (
    "sqrt(rho), rho = mean correlation between single training repeats (negative ones are 0): "
    "the largest correlation of a perfect model with one repeat; of the mean of n repeats, "
    "sqrt(n rho / (1 + (n - 1) rho)). Lage-Castellanos et al. 2019, 10.1371/journal.pcbi.1006397"
)


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
        When regions are named without an atlas, or the atlas lacks them.
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
    announce("select", f"{subject}: writes {count} to {out}")


def _write_voxels(file: h5py.File, evidence: Evidence, passed: Passed, voxels: VoxelSpace) -> None:
    reproducibility = np.tanh(evidence.mean_z)
    write_dataset(file, "t", evidence.t, ("voxel",))
    write_dataset(file, "p", evidence.p, ("voxel",))
    write_dataset(file, "reproducibility", reproducibility, ("voxel",))
    write_dataset(file, "noise_ceiling", noise_ceiling(reproducibility), ("voxel",))
    write_dataset(file, "selected", passed.selected, ("voxel",))
    write_space(file, voxels)


def _atlas(options: SelectionConfig, voxels: VoxelSpace) -> Atlas | None:
    """Return the configured atlas, None where none is configured."""
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
    """Return the selected voxels, or raise with the reason why none is selected."""
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
