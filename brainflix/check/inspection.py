"""``brainflix inspect``: what a file holds and where it comes from, on one screen."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from brainflix.artifacts.store import BLOCK, file_digest, open_artifact, read_json
from brainflix.check.findings import span
from brainflix.check.table import duration, size
from brainflix.errors import StudyError
from brainflix.formats import images
from brainflix.formats.arrays import list_arrays, open_rows
from brainflix.formats.hdf5 import HDF5
from brainflix.provenance import code_digest

STAGES = {
    "stimuli": ("decode", "brainflix.targets.decode"),
    "target": ("encode", "brainflix.targets.stage"),
    "cleaned": ("clean", "brainflix.preprocessing.clean"),
    "voxels": ("select", "brainflix.preprocessing.select"),
    "responses": ("extract", "brainflix.preprocessing.extract"),
    "shared": ("align", "brainflix.alignment.stage"),
    "predictions": ("regress", "brainflix.regression.stage"),
    "videos": ("generate", "brainflix.generation.stage"),
}
OWN = frozenset(
    ("kind", "schema_version", "package_version", "configuration", "seed", "inputs", "code")
    + ("complete",)
)
COMPARED = 2**28  # bytes; larger inputs are not read to compare their digests
LINES = 14  # of a list that is cut
WIDTH = 100
UNCHANGED = "unchanged"
MOVIES = (".mp4", ".mkv", ".avi", ".mov", ".webm", ".m4v", ".mpg", ".mpeg", ".gif")
ARRAYS = (".npy", ".npz", ".mat", ".pt", ".pth", ".pkl", ".pickle", ".safetensors")


def inspect(path: Path) -> str:
    """Return a file's description.

    Parameters
    ----------
    path : Path
        An artifact; or a NIfTI, CIFTI or GIFTI image, an array file, a video, metrics.json or a
        foreign HDF5 file.

    Raises
    ------
    BrainflixError
        When the file is missing, damaged or of an unknown kind.
    """
    name = path.name.lower()
    for endings, describe in _KINDS:
        if name.endswith(endings) and path.is_file():
            return "\n".join([f"{path}: {size(path.stat().st_size)}", *describe(path)])
    if name.endswith(HDF5) or not path.is_file():
        return "\n".join(_hdf5(path))
    raise StudyError(
        "unknown kind of file",
        expected="an artifact, " + ", ".join((*ARRAYS, *HDF5, ".nii", ".gii", ".json", *MOVIES)),
        found=path.suffix or "no suffix",
        where=path,
    )


def _hdf5(path: Path) -> list[str]:
    """Describe an artifact, or an HDF5 file of another program."""
    if path.is_file() and not _is_ours(path):
        head = f"{path}: {size(path.stat().st_size)}, HDF5, not an artifact of brainflix"
        return [head, *_arrays(path)]
    with open_artifact(path, None) as file:
        return _artifact(path, file)


def _is_ours(path: Path) -> bool:
    """Return whether a file is an artifact, be it damaged, or no HDF5 at all."""
    with open(path, "rb") as stream:
        if stream.read(BLOCK).startswith(b"brainflix"):
            return True
    try:
        with h5py.File(path, "r") as file:
            return "kind" in file.attrs and "schema_version" in file.attrs
    except OSError:
        return True  # which open_artifact refuses with the right words


def _artifact(path: Path, file: h5py.File) -> list[str]:
    attributes = file.attrs
    kind, code = str(attributes["kind"]), str(attributes.get("code", ""))
    configuration = json.loads(attributes.get("configuration", "{}"))
    lines = [
        f"{path}: {size(path.stat().st_size)}, {kind}, complete (its checksum is right)",
        f"made by    {_maker(kind, code)}, brainflix {attributes.get('package_version')}",
    ]
    digest = hashlib.sha256(str(attributes.get("configuration", "{}")).encode()).hexdigest()[:12]
    seed = int(attributes.get("seed", -1))
    lines.append(f"with       configuration {digest}" + (f", seed {seed}" if seed >= 0 else ""))
    lines += _cut([f"  {key}: {_short(value)}" for key, value in _flat(configuration)])
    inputs = json.loads(attributes.get("inputs", "{}"))
    if inputs:
        states = {name: _state(name, digest) for name, digest in inputs.items()}
        count = Counter(states.values())
        summary = ", ".join(f"{number} {state}" for state, number in count.most_common())
        lines.append(f"from       {len(inputs)} files: {summary}")
        odd_first = sorted(states, key=lambda name: states[name] == UNCHANGED)
        lines += _cut([f"  {name} ({states[name]})" for name in odd_first], LINES // 2)
    lines.append("holds")
    lines += _cut(_datasets(file), 3 * LINES)
    rest = {name: attributes[name] for name in sorted(attributes) if name not in OWN}
    if rest:
        lines.append("and        " + _wrapped([f"{k} {_short(v)}" for k, v in rest.items()]))
    return lines


def _maker(kind: str, code: str) -> str:
    stage, module = STAGES.get(kind, ("an unknown stage", ""))
    if not module or not code:
        return stage
    whose = "that" if code_digest(module) == code else "other than that"
    return f"the stage {stage}, code {code} ({whose} of this installation)"


def _state(name: str, digest: str) -> str:
    """Return whether an input is still what it was."""
    path = Path(name)
    if not path.is_file():
        return "deleted since"
    if path.stat().st_size > COMPARED:
        return "present, but too large to be compared at once"
    return UNCHANGED if file_digest(path) == digest else "changed since"


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return a nested mapping as dotted names and values, without empty ones."""
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            pairs += _flat(value, f"{prefix}{key}.")
        elif value not in (None, [], ""):
            pairs.append((prefix + key, value))
    return pairs


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 70 else text[:67] + "..."


def _cut(lines: Sequence[str], most: int = LINES) -> list[str]:
    """Return lines, the last ones as their number where there are too many."""
    if len(lines) <= most:
        return list(lines)
    return [*lines[: most - 1], f"  ... and {len(lines) - most + 1} more"]


def _wrapped(parts: Sequence[str]) -> str:
    """Return parts joined by commas, broken before the screen's edge."""
    lines, current = [], ""
    for part in parts:
        if current and len(current) + len(part) > WIDTH - 13:
            lines.append(current)
            current = ""
        current += f"{', ' if current else ''}{part}"
    return ("\n" + " " * 11).join([*lines, current])


def _datasets(file: h5py.File) -> list[str]:
    """Return one line per dataset; groups of the same content, such as runs, share one."""
    shapes_by_name: dict[tuple[str, str], list[tuple[int, ...]]] = {}
    labels: dict[tuple[str, str], list[str]] = {}

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            kind = "str" if h5py.check_string_dtype(item.dtype) else str(item.dtype)
            units = str(item.attrs.get("units", ""))
            parts = name.split("/")
            if len(parts) > 2 or (len(parts) == 2 and len(item.parent.parent) > 4):
                parts[-2] = "*"
            key = ("/".join(parts), f"{kind} {units}".rstrip())
            shapes_by_name.setdefault(key, []).append(item.shape)
            labels.setdefault(key, [axis.label or "?" for axis in item.dims])

    file.visititems(add)
    lines = []
    for (name, kind), shapes in shapes_by_name.items():
        axes = zip(labels[name, kind], zip(*shapes, strict=True), strict=True)
        shape = ", ".join(f"{label} {span(sizes)}" for label, sizes in axes)
        times = f"  x {len(shapes)}" if len(shapes) > 1 else ""
        lines.append(f"  {name} ({shape}) {kind}{times}")
    return lines


def _image(path: Path) -> list[str]:
    """Describe a NIfTI, CIFTI or GIFTI file by its header."""
    image = images.open_image(path)
    if path.name.endswith(".gii"):
        with images.readable(path):
            shapes = {tuple(array.data.shape) for array in image.darrays}
        return [f"GIFTI, {len(image.darrays)} arrays of {', '.join(map(str, sorted(shapes)))}"]
    if images.is_cifti(path):
        return _cifti(image, path)
    zooms = [float(zoom) for zoom in image.header.get_zooms()]
    lines = [
        f"NIfTI {tuple(image.shape)} {image.get_data_dtype()}, voxels of "
        + " x ".join(f"{zoom:.3g}" for zoom in zooms[:3])
        + " mm"
    ]
    if len(image.shape) == 4:
        header = images.read_header(path)
        time = "unknown" if header.repetition_time is None else f"{header.repetition_time:g} s"
        lines.append(f"{header.n_volumes} volumes, TR {time} by the header")
    slope, inter = image.dataobj.slope, image.dataobj.inter
    if (slope, inter) != (1.0, 0.0):
        lines.append(f"stored times {slope:g} plus {inter:g}")
    return lines


def _cifti(image: Any, path: Path) -> list[str]:
    with images.readable(path):
        first, models = images.cifti_axes(image, path)
    lines = [f"CIFTI-2 {tuple(image.shape)} {image.get_data_dtype()}, {type(first).__name__}"]
    if getattr(first, "step", None):
        lines.append(f"{len(first)} volumes, TR {first.step:g} s")
    parts = [
        f"{structure.removeprefix('CIFTI_STRUCTURE_').lower()} {len(model):,}"
        for structure, _, model in models.iter_structures()
    ]
    return [*lines, "grayordinates: " + _wrapped(parts)]


def _arrays(path: Path) -> list[str]:
    """Describe an array file by its arrays' shapes."""
    names: Sequence[str | None] = list_arrays(path) or [None]
    if path.suffix.lower() == ".mat":
        import scipy.io

        try:
            names = [name for name, *_ in scipy.io.whosmat(path)]
        except NotImplementedError:  # version 7.3, HDF5
            from brainflix.formats.hdf5 import dataset_names, open_hdf5

            with open_hdf5(path) as file:
                names = dataset_names(file)
    lines = []
    for name in names:
        try:
            rows = open_rows(path, name)
            lines.append(f"  {name or 'one array'} {rows.shape} {rows.source.dtype}")
        except StudyError as error:
            lines.append(f"  {name or 'one array'}: {error.what}")
    return _cut(lines, 3 * LINES)


def _movie(path: Path) -> list[str]:
    """Describe a video by its container."""
    import av

    from brainflix.formats.video import open_video
    from brainflix.studies.bids.stimuli import video_duration

    seconds = video_duration(path)
    try:
        with open_video(path) as container:
            stream = container.streams.video[0]
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            return [
                f"video of {seconds:.2f} s ({duration(seconds)}), {stream.codec_context.name}, "
                f"{stream.codec_context.width} x {stream.codec_context.height}, {rate:.3g} frames/s"
            ]
    except (av.FFmpegError, IndexError) as error:
        raise StudyError("the video cannot be opened", found=str(error), where=path) from error


def _json(path: Path) -> list[str]:
    """Describe a JSON file; metrics as their values."""
    content = read_json(path)
    subjects = content.get("subjects")
    if not isinstance(subjects, dict):
        return _cut([f"  {key}: {_short(value)}" for key, value in _flat(content)], 3 * LINES)
    lines = []
    for subject, entry in subjects.items():
        lines.append(subject)
        for name, metric in entry.get("metrics", {}).items():
            low, high = metric.get("interval", (float("nan"),) * 2)
            lines.append(
                f"  {name:24} {metric['value']:.3f} ({low:.3f}-{high:.3f}), "
                f"chance {metric.get('chance', float('nan')):.3f}, n {metric.get('n')}"
            )
    return _cut(lines, 4 * LINES)


def _text(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    columns = re.split(r"\t|,", lines[0]) if lines else []
    return [f"{max(len(lines) - 1, 0)} lines of {len(columns)} columns: {', '.join(columns[:20])}"]


_KINDS: tuple[tuple[tuple[str, ...], Callable[[Path], list[str]]], ...] = (
    ((".nii", ".nii.gz", ".gii"), _image),
    (ARRAYS, _arrays),
    (MOVIES, _movie),
    ((".json",), _json),
    ((".tsv", ".csv"), _text),
)
