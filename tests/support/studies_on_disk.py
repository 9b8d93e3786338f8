"""Tiny studies written as files, in the layout that fMRIPrep leaves, with a known truth.

``write_study`` needs numpy, nibabel and PyAV alone. A third of the voxels follow the clips at a
known delay, a third are noise, and the first two of the last third are broken: one is constant,
one holds NaN.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import nibabel as nib
import numpy as np

CLIP_SECONDS = 2.0
SHAPE = (6, 5, 4)


@dataclass
class Plan:
    """What a study holds; ``write_study`` fills in the truth."""

    kind: str = "movie"
    subjects: tuple[str, ...] = ("sub-01", "sub-02")
    session: str | None = None
    train_sets: int = 4
    clips_per_set: int = 12
    train_repeats: int = 2
    test_repeats: int = 3
    repetition_time: float = 2.0
    delay: float = 4.0
    noise: float = 0.4
    cifti: bool = False
    gifti: bool = False
    videos: bool = True
    lead_in: float = 4.0
    tail: float = 10.0
    seed: int = 0
    signal: dict[str, np.ndarray] = field(default_factory=dict)  # (voxel,) bool, a subject
    broken: dict[str, np.ndarray] = field(default_factory=dict)  # (voxel,) bool, a subject


def write_tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a tab-separated table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def write_video(path: Path, seconds: float, seed: int = 0, rate: int = 4, size: int = 32) -> None:
    """Write an mp4 of coloured noise blocks, reproducible from its seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width = stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1
        for _ in range(round(seconds * rate)):
            block = rng.integers(0, 255, (4, 4, 3), dtype=np.uint8)
            picture = block.repeat(size // 4, axis=0).repeat(size // 4, axis=1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def clip_sets(plan: Plan) -> dict[str, list[str]]:
    """Return the clips of each set: a movie segment, or the clips of an event-related run."""
    names = [f"seg{number:02d}" for number in range(1, plan.train_sets + 1)] + ["test"]
    return {
        name: [f"{name}_{number:02d}" for number in range(plan.clips_per_set)] for name in names
    }


def write_study(root: Path, plan: Plan | None = None) -> Plan:
    """Write a study under ``root`` and return its plan with the truth.

    "movie": one file per segment, cut into clips by stimuli.tsv. "event_related": a file a clip, in
    another order at each repeat, every 6 s.
    """
    plan = plan or Plan()
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text(
        json.dumps({"Name": "tiny", "BIDSVersion": "1.8.0", "DatasetType": "derivative"})
    )
    sets = clip_sets(plan)
    _write_stimuli(root, plan, sets)
    for number, subject in enumerate(plan.subjects):
        _write_subject(root, plan, sets, subject, number)
    return plan


def _write_stimuli(root: Path, plan: Plan, sets: dict[str, list[str]]) -> None:
    rows = []
    movie = plan.kind == "movie"
    for name, clips in sets.items():
        split = "test" if name == "test" else "train"
        for number, clip in enumerate(clips):
            file = f"{name}.mp4" if movie else f"{clip}.mp4"
            path = root / "stimuli" / file
            if not path.exists() and plan.videos:
                write_video(path, CLIP_SECONDS * (len(clips) if movie else 1), seed=len(rows))
            elif not path.exists():
                path.parent.mkdir(exist_ok=True)
                path.touch()
            place = (number * CLIP_SECONDS, CLIP_SECONDS) if movie else ("", "")
            caption = json.dumps([f"clip {number} of {name}"])
            colour = ("red", "blue")[number % 2]
            rows.append((clip, file, *place, split, name, caption, colour))
    columns = ("clip", "stim_file", "clip_onset", "clip_duration", "split", "group", "captions")
    write_tsv(root / "stimuli.tsv", (*columns, "attribute_colour"), rows)


def _write_subject(
    root: Path, plan: Plan, sets: dict[str, list[str]], subject: str, number: int
) -> None:
    rng = np.random.default_rng([plan.seed, number])
    mask = np.zeros(SHAPE, dtype=bool)
    mask[: 4 + number % 2, 1:, 1:] = True  # subjects differ in voxels
    n_voxels = int(mask.sum())
    signal, broken = np.zeros(n_voxels, dtype=bool), np.zeros(n_voxels, dtype=bool)
    signal[: n_voxels // 3] = True
    broken[-2:] = True
    plan.signal[subject], plan.broken[subject] = signal, broken
    drive = {clip: rng.standard_normal(n_voxels) for clips in sets.values() for clip in clips}
    folder = root / subject / (plan.session or "") / "func"
    scans = []
    for split, task_sets in (("train", [*sets][:-1]), ("test", ["test"])):
        repeats = plan.train_repeats if split == "train" else plan.test_repeats
        for run, name in enumerate(task_sets * repeats, start=1):
            parts = [subject, plan.session, f"task-{split}", f"run-{run:02d}"]
            stem = "_".join(part for part in parts if part)
            shown = [*sets[name]]
            if plan.kind != "movie":
                rng.shuffle(shown)
            onsets = _onsets(plan, len(shown))
            rows = _rows(plan, rng, shown, onsets, drive, signal)
            scans.append(f"func/{write_run(folder, stem, plan, rows, mask)}")
            _write_events(folder / f"{stem}_events.tsv", plan, name, shown, onsets)
    where = root / subject / (plan.session or "")
    label = "_".join(part for part in (subject, plan.session) if part)
    write_tsv(where / f"{label}_scans.tsv", ("filename",), [(scan,) for scan in scans])


def _onsets(plan: Plan, count: int) -> np.ndarray:
    step = CLIP_SECONDS if plan.kind == "movie" else 6.0
    return plan.lead_in + step * np.arange(count)


def _rows(
    plan: Plan,
    rng: np.random.Generator,
    shown: Sequence[str],
    onsets: np.ndarray,
    drive: dict[str, np.ndarray],
    signal: np.ndarray,
) -> np.ndarray:
    """Return a run's values, float32 (volume, voxel): drift, noise and delayed boxcars."""
    n_volumes = int(np.ceil((onsets[-1] + CLIP_SECONDS + plan.tail) / plan.repetition_time))
    time = np.arange(n_volumes) * plan.repetition_time
    rows = plan.noise * rng.standard_normal((n_volumes, len(signal)))
    for clip, onset in zip(shown, onsets, strict=True):
        after = time - onset - plan.delay
        active = (after > -1e-6) & (after < CLIP_SECONDS - 1e-6)
        rows[np.ix_(active, signal)] += drive[clip][signal]
    trend = np.linspace(-1, 1, n_volumes)[:, None]
    rows += rng.standard_normal(len(signal)) * trend + 3 * trend**2
    rows = 1000.0 + 20.0 * rows
    rows[:, -2] = 700.0
    rows[n_volumes // 2, -1] = np.nan
    return rows.astype(np.float32)


def write_run(folder: Path, stem: str, plan: Plan, rows: np.ndarray, mask: np.ndarray) -> str:
    """Write a series with sidecar, mask and confounds; return the series' file name."""
    folder.mkdir(parents=True, exist_ok=True)
    space = f"{stem}_space-fsLR_den-91k" if plan.cifti else f"{stem}_space-T1w"
    if plan.gifti:
        left = rows.shape[1] // 3  # hemispheres of unequal size
        for hemi, part in (("L", rows[:, :left]), ("R", rows[:, left:])):
            half = f"{stem}_hemi-{hemi}_space-fsaverage_bold"
            write_gifti(folder / f"{half}.func.gii", part, plan.repetition_time)
            text = json.dumps({"RepetitionTime": plan.repetition_time})
            (folder / f"{half}.json").write_text(text)
        name, sidecar = f"{stem}_hemi-L_space-fsaverage_bold.func.gii", f"{half}.json"
    elif plan.cifti:
        name, sidecar = f"{space}_bold.dtseries.nii", f"{space}_bold.json"
        write_cifti(folder / name, rows, plan.repetition_time)
    else:
        name = f"{space}_desc-preproc_bold.nii.gz"
        sidecar = f"{space}_desc-preproc_bold.json"
        write_nifti(folder / name, rows, mask, plan.repetition_time)
        affine = np.diag([2.0, 2.0, 2.0, 1.0])
        nib.save(
            nib.Nifti1Image(mask.astype(np.uint8), affine),
            folder / f"{space}_desc-brain_mask.nii.gz",
        )
    (folder / sidecar).write_text(json.dumps({"RepetitionTime": plan.repetition_time}))
    motion = [["n/a", 0.1]] + [[f"{np.sin(k):.4f}", f"{k / 10:.1f}"] for k in range(1, len(rows))]
    write_tsv(
        folder / f"{stem}_desc-confounds_timeseries.tsv", ("trans_x_derivative1", "rot_z"), motion
    )
    return name


def write_nifti(path: Path, rows: np.ndarray, mask: np.ndarray, repetition_time: float) -> None:
    """Write (volume, voxel) rows as a 4-D NIfTI on the mask's grid."""
    values = np.zeros((*mask.shape, len(rows)), dtype=np.float32)
    values[mask] = rows.T
    image = nib.Nifti1Image(values, np.diag([2.0, 2.0, 2.0, 1.0]))
    image.header.set_zooms((2.0, 2.0, 2.0, repetition_time))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)


def write_cifti(path: Path, rows: np.ndarray, repetition_time: float) -> None:
    """Write (volume, grayordinate) rows as a CIFTI-2 dtseries, half of them in each hemisphere."""
    left = rows.shape[1] // 2
    models = nib.cifti2.BrainModelAxis.from_surface(
        np.arange(left), 100, "CIFTI_STRUCTURE_CORTEX_LEFT"
    ) + nib.cifti2.BrainModelAxis.from_surface(
        np.arange(rows.shape[1] - left), 100, "CIFTI_STRUCTURE_CORTEX_RIGHT"
    )
    series = nib.cifti2.SeriesAxis(0, repetition_time, len(rows))
    nib.save(nib.Cifti2Image(rows.astype(np.float32), (series, models)), path)


def write_gifti(path: Path, rows: np.ndarray, repetition_time: float) -> None:
    """Write (volume, vertex) rows as fMRIPrep's GIFTI of one hemisphere: an array a volume."""
    step = nib.gifti.GiftiMetaData({"TimeStep": f"{1000 * repetition_time:f}"})
    arrays = [
        nib.gifti.GiftiDataArray(
            row.astype(np.float32), "NIFTI_INTENT_TIME_SERIES", "NIFTI_TYPE_FLOAT32", meta=step
        )
        for row in rows
    ]
    nib.save(nib.gifti.GiftiImage(darrays=arrays), path)


def _write_events(
    path: Path, plan: Plan, name: str, shown: Sequence[str], onsets: np.ndarray
) -> None:
    columns = ("onset", "duration", "trial_type", "stim_file")
    if plan.kind == "movie":
        length = CLIP_SECONDS * len(shown)
        write_tsv(path, columns, [(f"{onsets[0]:g}", f"{length:g}", "movie", f"{name}.mp4")])
        return
    rows: list[tuple[str, str, str, str]] = [
        (f"{onset:g}", f"{CLIP_SECONDS:g}", "clip", f"{clip}.mp4")
        for clip, onset in zip(shown, onsets, strict=True)
    ]
    rows.append((f"{onsets[-1] + 6:g}", "1", "oddball", "n/a"))
    write_tsv(path, columns, rows)
