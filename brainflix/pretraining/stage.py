"""The stage ``pretrain``: a model learnt from runs alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from brainflix.artifacts.models import MODEL, write_model_card
from brainflix.artifacts.store import open_artifact, staged_folder
from brainflix.artifacts.voxels import read_space
from brainflix.components import PRETRAININGS
from brainflix.config.recipe import PretrainingConfig
from brainflix.console import announce
from brainflix.preprocessing.runs import read_runs, require_training
from brainflix.pretraining.component import Pretraining, Recordings
from brainflix.provenance import code_digest


def read_recordings(subject: str, cleaned: Path, voxels: Path) -> Recordings:
    """Read the selected voxels of a subject's runs that show no test clip."""
    with open_artifact(voxels, "voxels") as file:
        chosen = np.flatnonzero(file["selected"][()])
        space = read_space(file).take(chosen)
    with open_artifact(cleaned, "cleaned") as file:
        runs = [run for run in read_runs(file) if run.split != "test"]
        require_training([run.split for run in runs], subject, cleaned)
        rows = [file[f"runs/{run.name}/rows"][()][:, chosen] for run in runs]
    return Recordings(subject, rows, space)


def pretrain(
    cleaned: Mapping[str, Path],
    voxels: Mapping[str, Path],
    options: PretrainingConfig,
    out: Path,
) -> None:
    """Learn a model from the runs of all subjects.

    Parameters
    ----------
    cleaned, voxels : mapping of str to Path
        "study/subject" to its "cleaned" and "voxels" artifacts.
    options : PretrainingConfig
        The section of the component.
    out : Path
        The model's folder.

    Raises
    ------
    DataError
        When a subject has no runs but those of test clips.
    """
    announce("pretrain", f"reads the runs of {len(cleaned)} subjects")
    recordings = [read_recordings(name, path, voxels[name]) for name, path in cleaned.items()]
    component: type[Pretraining] = PRETRAININGS[options.component]
    with staged_folder(out, MODEL, ("*",)) as folder:
        component(options).fit(recordings, folder)
        write_model_card(folder, "pretraining", options, code_digest(__name__))
    announce("pretrain", f"writes {out}")
