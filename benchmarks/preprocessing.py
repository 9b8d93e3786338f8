"""Speed of preprocessing at full size, as ratios to reading the same bytes, and its memory.

    python benchmarks/preprocessing.py [clean] [select] [memory] [--folder DIR] [--subjects N]

``clean``   a run of 91,282 grayordinates x 240 volumes, uncompressed CIFTI-2, from file to cleaned
            rows, beside the time that nibabel takes to read it (bound: 2.5)
``select``  the t-test over 18 segments x 2 repeats x 240 x 59,412, beside one pass over the same
            data from disk (bound: 2)
``memory``  two subjects of 12 runs of 91,282 x 240, then 30 of HAD's size (betas of 720 trials),
            one after the other through clean, select and extract in one process: its peak memory
            after each (bound: 3 GiB)

Pages of the files are dropped from the kernel's cache before each cold measurement. Needs 6 GB of
disk; the files are removed in the end.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np

from brainflix.artifacts.store import create, write_dataset
from brainflix.config.studies import CleaningConfig, ResponseConfig, SelectionConfig, StudySource
from brainflix.formats import images
from brainflix.preprocessing.clean import clean
from brainflix.preprocessing.extract import extract
from brainflix.preprocessing.nuisance import clean_rows, nuisance_basis
from brainflix.preprocessing.runs import read_runs
from brainflix.preprocessing.select import select
from brainflix.preprocessing.units import gather_evidence

GRAYORDINATES, CORTEX, VOLUMES, SEGMENTS = 91282, 59412, 240, 18


def forget(path: Path) -> None:
    """Drop a file's pages from the cache."""
    with open(path, "rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(
    work: Callable[[], object], path: Path, cold: bool, repeats: int = 5
) -> tuple[float, float]:
    """Return the least time in s of some calls, and the least time on the processor."""
    times, busy = [], []
    for _ in range(repeats):
        if cold:
            forget(path)
        start, worked = time.perf_counter(), time.process_time()
        work()
        times.append(time.perf_counter() - start)
        busy.append(time.process_time() - worked)
    return min(times), min(busy)


def compare(what: str, reading: tuple[float, float], whole: tuple[float, float]) -> None:
    """Print two times and their ratios; that of processor times tells what a busy machine hides."""
    print(
        f"{what}: reading {reading[0]:.2f} s ({reading[1]:.2f} s of processor), all of it "
        f"{whole[0]:.2f} s ({whole[1]:.2f} s); ratio {whole[0] / reading[0]:.2f}; "
        f"peak memory {peak():.2f} GiB",
        flush=True,
    )


def peak() -> float:
    """Return the peak memory of this process in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def write_run(path: Path, seed: int) -> None:
    """Write a CIFTI-2 time series of 32k surfaces and subcortical voxels."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((VOLUMES, GRAYORDINATES), dtype=np.float32)
    rows *= 20
    rows += 1000
    axis = nib.cifti2.BrainModelAxis
    left = axis.from_surface(np.arange(29696), 32492, "CIFTI_STRUCTURE_CORTEX_LEFT")
    right = axis.from_surface(np.arange(29716), 32492, "CIFTI_STRUCTURE_CORTEX_RIGHT")
    count = GRAYORDINATES - len(left) - len(right)
    voxels = np.stack(np.unravel_index(np.arange(count), (91, 109, 91)), axis=1)
    below = axis(
        "CIFTI_STRUCTURE_OTHER", voxel=voxels, affine=np.eye(4), volume_shape=(91, 109, 91)
    )
    series = nib.cifti2.SeriesAxis(0, 2.0, VOLUMES)
    nib.save(nib.Cifti2Image(rows, (series, left + right + below)), path)


def measure_clean(folder: Path) -> None:
    path = folder / "run.dtseries.nii"
    write_run(path, 0)
    space = images.read_grayordinates(path, "fsLR")
    basis = nuisance_basis(VOLUMES, 4)

    def read() -> None:
        nib.load(path, mmap=False).get_fdata(dtype=np.float32)

    def cleaned() -> None:
        clean_rows(images.read_rows(path, space), basis)

    for cold in (True, False):
        state = "cold" if cold else "warm"
        compare(f"clean, {state}", timed(read, path, cold), timed(cleaned, path, cold))
    path.unlink()


def write_cleaned(path: Path) -> None:
    """Write cleaned.h5 of the size of CC2017's training segments."""
    rng = np.random.default_rng(0)
    with create(path, "cleaned") as file:
        for segment in range(SEGMENTS):
            shared = rng.standard_normal((VOLUMES, CORTEX), dtype=np.float32)
            for repeat in range(2):
                rows = rng.standard_normal((VOLUMES, CORTEX), dtype=np.float32)
                rows += shared * (np.arange(CORTEX) % 3 == 0)
                group = file.create_group(f"runs/seg{segment:02d}_{repeat}")
                write_dataset(group, "rows", rows, ("volume", "voxel"))
                write_dataset(group, "onset", 2.0 * np.arange(VOLUMES), ("event",))
                write_dataset(group, "duration", np.full(VOLUMES, 2.0), ("event",))
                clips = [f"seg{segment:02d}_{k:04d}" for k in range(VOLUMES)]
                write_dataset(group, "clip", clips, ("event",))
                group.attrs.update(
                    split="train",
                    group=f"seg{segment:02d}",
                    repeat=repeat,
                    index=2 * segment + repeat,
                    repetition_time=2.0,
                    trialwise=False,
                )
        place = np.arange(CORTEX, dtype=np.int32)[:, None]
        write_dataset(file, "position", place, ("voxel", "axis"))


def measure_select(folder: Path) -> None:
    path = folder / "cleaned.h5"
    write_cleaned(path)

    def one_pass() -> None:
        buffer = np.empty((VOLUMES, CORTEX), dtype=np.float32)
        with h5py.File(path) as file:
            for run in file["runs"].values():
                run["rows"].read_direct(buffer)

    def tested(window: int) -> None:
        with h5py.File(path) as file:
            evidence = gather_evidence(file, read_runs(file), 0.0, window)
        assert evidence.dof == SEGMENTS - 1

    for cold in (True, False):
        reading = timed(one_pass, path, cold, 3)
        for window in (1, 2):
            testing = timed(lambda w=window: tested(w), path, cold, 3)  # type: ignore[misc]
            compare(f"t-test, {'cold' if cold else 'warm'}, window {window}", reading, testing)
    path.unlink()


def measure_memory(folder: Path, subjects: int) -> None:
    kept = SelectionConfig(correction="none", alpha=0.5)
    for source, count in (
        (write_series(folder / "series", 2), 2),
        (write_betas(folder / "betas", subjects), subjects),
    ):
        for number in range(count):
            subject = f"sub-{number + 1:02d}"
            cleaned, voxels = folder / "cleaned.h5", folder / "voxels.h5"
            start = time.perf_counter()
            clean(source, subject, CleaningConfig(), cleaned)
            select(cleaned, kept, voxels)
            extract(cleaned, voxels, ResponseConfig(), folder / "responses.h5")
            taken = time.perf_counter() - start
            print(
                f"memory, {source.reader}: {subject} in {taken:.0f} s, peak {peak():.2f} GiB",
                flush=True,
            )


def write_betas(root: Path, subjects: int) -> StudySource:
    """Write betas of HAD's size, 540 training and 180 test trials a subject, and describe them.

    Training clips are shown twice here, so that the t-test has work to do.
    """
    root.mkdir()
    rng = np.random.default_rng(1)
    described = {}
    for number in range(subjects):
        name = f"sub-{number + 1:02d}.h5"
        if number:
            os.link(root / "sub-01.h5", root / name)
        else:
            with h5py.File(root / name, "w") as file:
                train = file.create_dataset("train", (270, 2, GRAYORDINATES), "f4")
                for clip in range(270):
                    train[clip] = rng.standard_normal((2, GRAYORDINATES), dtype=np.float32)
                file["test"] = rng.standard_normal((180, GRAYORDINATES), dtype=np.float32)
        described[f"sub-{number + 1:02d}"] = {
            "train": {"responses": f"{name}:train"},
            "test": {"responses": f"{name}:test"},
        }
    np.savez(
        root / "pictures.npz",
        train=np.zeros((270, 4, 4), np.uint8),
        test=np.zeros((180, 4, 4), np.uint8),
    )
    stimuli = {"train": "pictures.npz:train", "test": "pictures.npz:test"}
    options = {"subjects": described, "stimuli": stimuli, "clips_per_group": 30}
    return StudySource(reader="arrays", root=str(root), options=options)


def write_series(root: Path, subjects: int) -> StudySource:
    """Write 12 runs a subject of CIFTI series: films of 60 clips, two repeats."""
    (root / "stimuli").mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps({"Name": "big"}))
    clips = 60
    rows = ["clip\tstim_file\tclip_onset\tclip_duration\tsplit\tgroup"]
    for film in range(6):
        split = "test" if film == 5 else "train"
        (root / "stimuli" / f"film{film}.mp4").touch()
        rows += [
            f"f{film}_{k:02d}\tfilm{film}.mp4\t{6 * k}\t2\t{split}\tfilm{film}"
            for k in range(clips)
        ]
    (root / "stimuli.tsv").write_text("\n".join(rows) + "\n")
    first = root / "sub-01" / "func"
    for number in range(subjects):
        func = root / f"sub-{number + 1:02d}" / "func"
        func.mkdir(parents=True)
        for run in range(12):
            task = "test" if run % 6 == 5 else "train"
            tail = f"task-{task}_run-{run + 1:02d}"
            name = f"sub-{number + 1:02d}_{tail}_space-fsLR_den-91k_bold.dtseries.nii"
            if number == 0:
                write_run(func / name, run)
            else:
                os.link(first / name.replace(f"sub-{number + 1:02d}", "sub-01"), func / name)
            (func / name.replace(".dtseries.nii", ".json")).write_text('{"RepetitionTime": 2.0}')
            events = f"onset\tduration\tstim_file\n2\t360\tfilm{run % 6}.mp4\n"
            (func / f"sub-{number + 1:02d}_{tail}_events.tsv").write_text(events)
    return StudySource(root=str(root), options={"format": "cifti"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=["clean", "select", "memory"])
    parser.add_argument("--folder", type=Path, default=None, help="where files are written")
    parser.add_argument("--subjects", type=int, default=30)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=arguments.folder))
    if shutil.disk_usage(folder).free < 8 << 30:
        raise SystemExit(f"less than 8 GB are free in {folder}")
    try:
        if "clean" in arguments.parts:
            measure_clean(folder)
        if "select" in arguments.parts:
            measure_select(folder)
        if "memory" in arguments.parts:
            measure_memory(folder, arguments.subjects)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
