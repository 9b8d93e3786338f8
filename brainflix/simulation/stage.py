"""``brainflix simulate``: write a simulated study as a folder of BIDS derivatives.

:func:`simulate_stimuli` writes the movies and ``stimuli.tsv``; :func:`simulate_subject` writes one
subject's runs and its ``scans.tsv``. Each needs only the options, so they may run at the same time
and in any order. The last file that each writes shows that the others are complete.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from brainflix import __version__
from brainflix.artifacts.store import create, read_json, write_dataset, write_json
from brainflix.config.studies import SimulationConfig
from brainflix.console import announce, track
from brainflix.errors import ArtifactError, ConfigError, StudyError
from brainflix.simulation.bold import evoked_signal, run_signal
from brainflix.simulation.brain import AREAS, Brain, draw_brain, neural_drive
from brainflix.simulation.features import CHANNELS, FLOWS, labels, levels, scene_maps
from brainflix.simulation.study import (
    SimulatedClip,
    SimulatedRun,
    generator,
    study_clips,
    study_runs,
)
from brainflix.simulation.world import ATTRIBUTES, DURATION, FRAMES, captions, render
from brainflix.simulation.write import write_bold, write_nifti, write_table, write_video

MARK = "brainflix simulate"
SPACE = "space-T1w"


def simulate_stimuli(root: Path, options: SimulationConfig) -> None:
    """Write the stimuli of a simulated study: mp4 files, and last ``stimuli.tsv``.

    A movie study has one mp4 for each segment, an event-related one an mp4 for each clip.

    Parameters
    ----------
    root : Path
        Folder of the study; created if missing. Stimuli of an earlier simulation are removed.
    options : SimulationConfig
        What to simulate.

    Raises
    ------
    StudyError
        When the folder holds files that no simulation wrote.
    """
    root = Path(root)
    _claim(root)
    (root / "stimuli.tsv").unlink(missing_ok=True)
    _clear(root / "stimuli")
    clips = study_clips(options)
    files: dict[str, list[SimulatedClip]] = {}
    for clip in clips:
        files.setdefault(clip.file, []).append(clip)
    for name, members in track(files.items(), "stimuli", len(files)):
        frames = np.concatenate([render(clip.scene) for clip in members])
        write_video(root / "stimuli" / name, frames, round(FRAMES / DURATION))
    columns = ("clip", "stim_file", "clip_onset", "clip_duration", "split", "group", "captions")
    attributes = tuple(f"attribute_{name}" for name in (*ATTRIBUTES, "held_out"))
    rows = [
        (
            *(clip.id, clip.file, clip.onset, DURATION, clip.split, clip.group),
            json.dumps(captions(clip.scene)),
            *clip.scene.attributes().values(),
            "yes" if clip.held_out else "no",
        )
        for clip in clips
    ]
    write_table(root / "stimuli.tsv", (*columns, *attributes), rows)
    announce("simulate", f"writes {len(clips)} clips in {len(files)} mp4 files in {root}/stimuli")


def simulate_subject(root: Path, subject: str, options: SimulationConfig) -> None:
    """Write a subject's runs, masks, events and confounds, and last ``{subject}_scans.tsv``.

    The truth goes to ``truth/{subject}.h5``, for tests. All of it depends only on the options
    and the label.

    Parameters
    ----------
    root : Path
        Folder of the study; created if missing. Runs of an earlier simulation are removed.
    subject : str
        Label, such as sub-01.
    options : SimulationConfig
        What to simulate.

    Raises
    ------
    ConfigError
        When the label does not follow BIDS.
    StudyError
        When the folder holds files that no simulation wrote.
    """
    root = Path(root)
    if not (subject.startswith("sub-") and subject[4:].isalnum()):
        raise ConfigError(
            "not a subject label", expected="sub- and letters or digits", found=subject
        )
    _claim(root)
    (root / subject / f"{subject}_scans.tsv").unlink(missing_ok=True)
    _clear(root / subject / "func")
    clips = study_clips(options)
    scenes = [clip.scene for clip in clips]
    training = np.array([clip.split == "train" for clip in clips])
    brain = draw_brain(options, subject)
    drive = neural_drive(brain.tuning, scene_maps(scenes), labels(scenes), training)
    runs = study_runs(options, clips, subject)
    scans = [
        _write_run(root / subject, subject, run, clips, brain, drive, options)
        for run in track(runs, subject, len(runs))
    ]
    _write_truth(root / "truth" / f"{subject}.h5", brain, options)
    write_table(root / subject / f"{subject}_scans.tsv", ("filename",), [(name,) for name in scans])
    announce(
        "simulate",
        f"writes {len(runs)} runs of {len(brain.anatomy.area)} voxels in {root}/{subject}",
    )


def _claim(root: Path) -> None:
    """Make sure that the folder is a simulated study or empty, and mark it as simulated.

    Another process may be doing the same: it marks the folder before it writes anything else.
    """
    path = root / "dataset_description.json"
    files = [p for p in root.rglob("*") if p.is_file() and not p.name.startswith(".")]
    marked = path.is_file()
    if marked:
        try:
            makers = read_json(path).get("GeneratedBy", [])
        except ArtifactError:
            makers = []
        marked = any(isinstance(maker, dict) and maker.get("Name") == MARK for maker in makers)
    if files and not marked:
        raise StudyError(
            "the folder holds files that no simulation wrote; they would be overwritten",
            expected="an empty folder or a simulated study",
            found=files[0],
            where=root,
            remedy="give the simulated study a root of its own",
        )
    if not marked:
        content = {
            "Name": "Simulated viewing of procedural videos",
            "BIDSVersion": "1.9.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": MARK, "Version": __version__}],
        }
        write_json(path, content)


def _clear(folder: Path) -> None:
    if folder.is_dir():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def _write_run(
    folder: Path,
    subject: str,
    run: SimulatedRun,
    clips: Sequence[SimulatedClip],
    brain: Brain,
    drive: NDArray[np.float64],
    options: SimulationConfig,
) -> str:
    """Write the files of one run; return the name of its image relative to ``folder``."""
    rng = generator(options, "noise", subject, run.task, run.index)
    shown = drive[list(run.clips)]
    TR = options.repetition_time
    evoked = evoked_signal(shown, run.onsets, DURATION, run.volumes, TR, brain.physics.peak)
    signal, course = run_signal(evoked, brain.physics, TR, options.noise, rng)

    stem = f"func/{subject}_task-{run.task}_run-{run.index:02d}"
    image = f"{stem}_{SPACE}_desc-preproc_bold"
    mask, affine = brain.anatomy.mask(), brain.anatomy.affine()
    write_bold(folder / f"{image}.nii.gz", signal, mask, affine, TR)
    write_json(folder / f"{image}.json", {"RepetitionTime": TR, "TaskName": run.task})
    write_nifti(folder / f"{stem}_{SPACE}_desc-brain_mask.nii.gz", mask.astype(np.uint8), affine)
    # Confounds: the mean of all voxels, and cerebrospinal fluid that follows the shared course.
    fluid = 1200.0 + 12.0 * (course + 0.5 * rng.standard_normal(run.volumes))
    confounds = zip(signal.mean(axis=1).tolist(), fluid.tolist(), strict=True)
    table = folder / f"{stem}_desc-confounds_timeseries.tsv"
    write_table(table, ("global_signal", "csf"), list(confounds))
    # A movie is one event of the whole segment; otherwise each clip is an event.
    if options.kind == "movie":
        duration = len(run.clips) * DURATION
        events = [(run.onsets[0], duration, "movie", clips[run.clips[0]].file)]
    else:
        shown_at = zip(run.onsets, run.clips, strict=True)
        events = [(onset, DURATION, "clip", clips[clip].file) for onset, clip in shown_at]
    table = folder / f"{stem}_events.tsv"
    write_table(table, ("onset", "duration", "trial_type", "stim_file"), events)
    return f"{image}.nii.gz"


def _write_truth(path: Path, brain: Brain, options: SimulationConfig) -> None:
    """Write what each voxel is and sees, in C order of the mask."""
    tuning, physics = brain.tuning, brain.physics
    with create(path, "truth", configuration=options.model_dump(), seed=options.seed) as file:
        write_dataset(file, "position", brain.anatomy.position.astype(np.int32), ("voxel", "axis"))
        write_dataset(file, "area", [AREAS[k] for k in brain.anatomy.area], ("voxel",))
        write_dataset(file, "driven", tuning.driven, ("voxel",))
        write_dataset(file, "field", tuning.field, ("voxel", "column_row_width"), units="frame")
        write_dataset(file, "local", tuning.local, ("unit", "voxel", "map"))
        write_dataset(file, "map", [*CHANNELS, *FLOWS], ("map",))
        write_dataset(file, "labels", tuning.labels, ("voxel", "level"))
        write_dataset(file, "level", [f"{name}:{label}" for name, label in levels()], ("level",))
        write_dataset(file, "amplitude", physics.amplitude, ("voxel",), units="percent")
        write_dataset(file, "noise", options.noise * physics.noise, ("voxel",), units="percent")
        write_dataset(file, "coefficient", physics.coefficient, ("voxel",))
        write_dataset(file, "peak", physics.peak, ("voxel",), units="s")
        write_dataset(file, "loading", physics.loading, ("voxel",))
        write_dataset(file, "networks", physics.networks, ("network", "voxel"))
