"""Sets of clips: the clips of a folder, an HDF5 file or an array, by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.artifacts.store import open_artifact, read_strings
from brainflix.errors import ArtifactError, VideoError
from brainflix.evaluation.standalone.files import (
    ARRAYS,
    PICTURES,
    VIDEOS,
    ArrayClip,
    ClipSource,
    PictureClip,
    VideoFileClip,
    listed,
    load_array,
    natural_key,
    opened_hdf5,
)

HDF5 = frozenset({".h5", ".hdf5", ".hdf"})


@dataclass(frozen=True)
class ClipSet:
    """Clips by name, in a natural order.

    Attributes
    ----------
    clips : dict of str to ClipSource
    where : str
        Folder or file.
    groups : dict of str to str
        Clip to group, where the file says so.
    training : dict of str to ClipSource
        Clips of the same file that are marked as training clips; they are not evaluated.
    training_groups : dict of str to str
        Their groups.
    ignored : tuple of str
        Files in the folder that are not clips.
    """

    clips: dict[str, ClipSource]
    where: str
    groups: Mapping[str, str]
    training: dict[str, ClipSource]
    training_groups: Mapping[str, str]
    ignored: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.clips)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the clips are read from."""
        return tuple(dict.fromkeys(f for clip in self.clips.values() for f in clip.files))


def _set(
    clips: dict[str, ClipSource], where: object, ignored: Iterable[str] = (), **more: Any
) -> ClipSet:
    known: dict[str, Any] = {"groups": {}, "training": {}, "training_groups": {}} | more
    return ClipSet(clips, str(where), ignored=tuple(ignored), **known)


def open_clips(place: str | Path) -> ClipSet:
    """Return the clips of a folder, an HDF5 file (``FILE.h5`` or ``FILE.h5::DATASET``) or a .npy.

    Raises
    ------
    VideoError
        When there is nothing, no clip, two clips of one name, or frames are missing.
    ArtifactError
        When an HDF5 file cannot be used.
    """
    text, _, dataset = str(place).partition("::")
    path = Path(text)
    if path.is_dir():
        return _open_folder(path)
    if not path.is_file():
        raise VideoError(
            "there is nothing to evaluate",
            expected="a folder of clips, or a file FILE.h5::DATASET or FILE.npy",
            found="nothing",
            where=text,
        )
    suffix = path.suffix.lower()
    if suffix in HDF5:
        return _open_hdf5(path, dataset)
    if suffix in ARRAYS:
        array = load_array(path)
        clips = {n: ArrayClip(n, path, row=k) for k, n in enumerate(_numbers(len(array)))}
        return _set(dict(clips), path)
    raise VideoError(
        "a single file is not a set of clips",
        expected="a folder of clips, or a file FILE.h5::DATASET or FILE.npy",
        found=path.name,
        where=text,
        remedy="give the folder",
    )


def _open_folder(root: Path) -> ClipSet:
    clips: dict[str, ClipSource] = {}
    ignored: list[str] = []
    empty: list[Path] = []
    for folder in sorted([root, *(p for p in root.rglob("*") if p.is_dir())]):
        if any(part.startswith(".") for part in folder.relative_to(root).parts):
            continue
        found = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
        if not found:
            empty.append(folder)
        files = [p for p in found if p.is_file()]
        for clip, used in _clips_of(root, folder, files):
            if clip.name in clips:
                raise VideoError(
                    "two clips have one name",
                    expected="one file or folder for each clip",
                    found=f"{clips[clip.name].where} and {clip.where}",
                    where=root,
                )
            clips[clip.name] = clip
            files = [p for p in files if p not in used]
        ignored += [p.relative_to(root).as_posix() for p in files]
    if empty and empty != [root]:
        raise VideoError(
            f"{len(empty)} folders are empty", found=listed(empty), where=root, remedy=_REPAIR
        )
    if not clips:
        raise _no_clips(root, ignored)
    order = sorted(clips, key=natural_key)
    return _set({name: clips[name] for name in order}, root, ignored)


_REPAIR = "fill them, or take them away"


def _no_clips(root: Path, ignored: Sequence[str]) -> VideoError:
    pictures = [name for name in ignored if Path(name).suffix.lower() in PICTURES]
    return VideoError(
        "the folder holds no clips",
        expected="videos, GIFs, .npy arrays, or a folder of numbered pictures for each clip",
        found=listed(ignored) if ignored else "nothing",
        where=root,
        remedy="put the pictures of each clip into a folder of its own" if pictures else None,
    )


def _clips_of(
    root: Path, folder: Path, files: Sequence[Path]
) -> Iterable[tuple[ClipSource, set[Path]]]:
    """Yield the clips that lie in one folder, and the files that each is made of."""
    place = folder.relative_to(root)
    single = False
    for path in files:
        suffix, name = path.suffix.lower(), (place / path.stem).as_posix()
        if suffix in VIDEOS:
            yield VideoFileClip(name, path), {path}
        elif suffix in ARRAYS:
            yield ArrayClip(name, path), {path}
        else:
            continue
        single = True
    pictures = [p for p in files if p.suffix.lower() in PICTURES]
    if pictures and not single and folder != root:
        ordered = _in_order(pictures, folder)
        yield PictureClip(place.as_posix(), folder, ordered), set(ordered)


def _in_order(pictures: Sequence[Path], folder: Path) -> tuple[Path, ...]:
    """Return pictures by number, or raise where one seems to be missing."""
    ordered = sorted(pictures, key=lambda path: natural_key(path.name))
    if len(ordered) < 2:
        return tuple(ordered)
    found = [re.findall(r"\d+", path.stem) for path in ordered]
    if not all(found):
        nameless = [path.name for path, digits in zip(ordered, found, strict=True) if not digits]
        raise VideoError(
            "frames have no number", expected="0001.png, ...", found=nameless[0], where=folder
        )
    numbers = np.array([int(digits[-1]) for digits in found])
    steps = np.diff(numbers)
    if (steps != steps[0]).any() or steps[0] == 0:
        k = int(np.flatnonzero(steps != steps[0])[0]) if steps[0] else 0
        raise VideoError(
            "frames are missing, or two have one number",
            expected="numbers that rise in equal steps",
            found=f"{ordered[k].name} followed by {ordered[k + 1].name}",
            where=folder,
        )
    return tuple(ordered)


def _open_hdf5(path: Path, dataset: str) -> ClipSet:
    with opened_hdf5(path) as file:
        kind = str(file.attrs.get("kind", ""))
    if kind in ("stimuli", "videos"):
        return _open_own(path, kind, dataset)
    if not dataset:
        shapes = _datasets(path)
        likely = [name for name, shape in shapes.items() if len(shape) == 5 and shape[-1] == 3]
        if len(likely) != 1:
            raise ArtifactError(
                "the file does not say which dataset holds the clips",
                expected=f"{path}::DATASET",
                found=listed(f"{name} {shape}" for name, shape in shapes.items()) or "no datasets",
                where=path,
            )
        dataset = likely[0]
    return _open_dataset(path, dataset)


def _open_own(path: Path, kind: str, dataset: str) -> ClipSet:
    """Open this package's stimuli (test clips, and the training clips apart) or videos."""
    dataset = dataset or ("frames" if kind == "stimuli" else "frames/network")
    with open_artifact(path, kind) as file:
        _check_dataset(file, path, dataset)
        ids = read_strings(file["clip"])
        split = read_strings(file["split"]) if "split" in file else ["test"] * len(ids)
        group = read_strings(file["group"]) if "group" in file else ids
        rate = float(file.attrs["fps"]) if "fps" in file.attrs else None
    clips = {name: ArrayClip(name, path, dataset, k, rate) for k, name in enumerate(ids)}
    parts = [
        {name: clips[name] for name, found in zip(ids, split, strict=True) if found == wanted}
        for wanted in ("test", "train")
    ]
    if not parts[0]:
        raise ArtifactError(
            "the stimuli have no test clips",
            expected="clips with the split test",
            found="not one",
            where=path,
        )
    groups = dict(zip(ids, group, strict=True)) if group is not ids else {}
    return _set(
        dict(parts[0]), path, training=dict(parts[1]), groups=groups, training_groups=groups
    )


def _open_dataset(path: Path, dataset: str) -> ClipSet:
    """Open a dataset of any HDF5 file; names are in the dataset ``clip``, or numbers."""
    import h5py

    with opened_hdf5(path) as file:
        found = _check_dataset(file, path, dataset)
        labels = found.parent.get("clip")
        names = _numbers(len(found))
        rate = found.attrs.get("fps", file.attrs.get("fps"))
        if isinstance(labels, h5py.Dataset) and labels.shape == (len(found),):
            if h5py.check_string_dtype(labels.dtype):
                names = read_strings(labels)
            elif labels.dtype.kind in "iu":
                names = [str(number) for number in labels[()]]
    if len(set(names)) < len(names):
        raise ArtifactError("two clips have one name", where=f"{path}::clip")
    return _set(
        {
            name: ArrayClip(name, path, dataset, k, None if rate is None else float(rate))
            for k, name in enumerate(names)
        },
        f"{path}::{dataset}",
    )


def _check_dataset(file: Any, path: Path, dataset: str) -> Any:
    import h5py

    found = file.get(dataset)
    if not isinstance(found, h5py.Dataset) or found.ndim != 5 or 0 in found.shape:
        raise ArtifactError(
            f"there are no clips in {dataset}",
            expected="a dataset (clip, frame, height, width, 3)",
            found=f"shape {found.shape}"
            if isinstance(found, h5py.Dataset)
            else listed(f"{name} {shape}" for name, shape in _datasets(path).items()),
            where=path,
        )
    return found


def _datasets(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all datasets of a file, by name."""
    import h5py

    found: dict[str, tuple[int, ...]] = {}

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = tuple(item.shape or ())

    with opened_hdf5(path) as file:
        file.visititems(add)
    return found


def _numbers(count: int) -> list[str]:
    width = max(4, len(str(count - 1)))
    return [f"{k:0{width}d}" for k in range(count)]
