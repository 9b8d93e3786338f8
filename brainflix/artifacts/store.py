"""HDF5 and JSON artifacts: written whole or not at all, checked when they are read.

An artifact is an HDF5 file with root attributes ``kind``, ``schema_version``, ``package_version``,
``configuration`` (JSON), ``seed``, ``inputs`` (JSON: file name to digest), ``code`` (digest of the
stage's sources) and ``complete``. It holds no time stamp, so the same inputs give the same bytes.

The first 512 bytes, HDF5's user block, are a line of text with the size and the CRC-32 of all that
follows. A reader compares them once a process, so that a damaged artifact is refused, whatever byte
it is that changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import DTypeLike

from brainflix import __version__
from brainflix.errors import ArtifactError

SCHEMA_VERSION = 2
BLOCK = 512  # bytes in front of the HDF5 file proper
_MAGIC = b"brainflix artifact, CRC-32 "
_intact: dict[tuple[str, int, int, int], bool] = {}  # (path, inode, size, time): its CRC is right


def file_digest(path: str | Path) -> str:
    """Return the first 16 hexadecimal digits of a file's SHA-256."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its name only when the block succeeds.

    The temporary name starts with a dot and keeps the suffix, so that writers that choose a format
    by suffix work; it is removed when the block raises.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{path.stem}.", suffix=".partial" + path.suffix, dir=path.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def create(
    path: str | Path,
    kind: str,
    *,
    configuration: Mapping[str, Any] | None = None,
    seed: int | None = None,
    inputs: Sequence[str | Path] = (),
    code: str = "",
) -> Iterator[h5py.File]:
    """Open a new artifact for writing; it appears under its name when the block ends well.

    Parameters
    ----------
    path : path-like
        The final name.
    kind : str
        What the artifact is: "stimuli", "target", "voxels", "responses", ...
    configuration : mapping, optional
        The section of the configuration that the stage was given.
    seed : int, optional
        The seed that the stage used.
    inputs : sequence of path-like
        Files whose digests are recorded, by file name.
    code : str
        Digest of the stage's sources, see :func:`brainflix.provenance.code_digest`.
    """
    with atomic_path(path) as temporary:
        with h5py.File(temporary, "w", libver="latest", userblock_size=BLOCK) as file:
            file.attrs["kind"] = kind
            file.attrs["schema_version"] = SCHEMA_VERSION
            file.attrs["package_version"] = __version__
            file.attrs["configuration"] = json.dumps(configuration or {}, sort_keys=True)
            file.attrs["seed"] = -1 if seed is None else seed
            file.attrs["inputs"] = json.dumps({str(p): file_digest(p) for p in inputs})
            file.attrs["code"] = code
            yield file
            file.attrs["complete"] = True
        seal(temporary)


def seal(path: str | Path) -> None:
    """Write the size and CRC-32 of an artifact's content into its first bytes."""
    with open(path, "r+b") as stream:
        stream.seek(BLOCK)
        line = _seal_line(stream)
        stream.seek(0)
        stream.write(line.ljust(BLOCK, b" "))


def _seal_line(stream: BinaryIO) -> bytes:
    """Return the line that belongs in front of what an open file still holds."""
    crc, size = 0, 0
    while piece := stream.read(2**20):
        crc, size = zlib.crc32(piece, crc), size + len(piece)
    return _MAGIC + f"{crc:08x} of the {size} bytes behind this block\n".encode()


def _check_seal(path: Path, label: str) -> bool:
    """Return whether a file is sealed; raise when it is and is not as it was written."""
    facts = path.stat()
    key = (str(path.absolute()), facts.st_ino, facts.st_size, facts.st_mtime_ns)
    if key not in _intact:
        with open(path, "rb") as stream:
            written = stream.read(BLOCK)
            if not written.startswith(_MAGIC):
                return False
            _intact[key] = _seal_line(stream).ljust(BLOCK, b" ") == written
    if not _intact[key]:
        raise _damaged(path, label)
    return True


def _damaged(path: Path, label: str) -> ArtifactError:
    return ArtifactError(
        f"the {label} artifact is damaged, or was changed after it was written",
        expected="the bytes that its first line has the size and CRC-32 of",
        found=f"{path.stat().st_size} bytes that differ from them",
        where=path,
        remedy=_remedy(path),
    )


def _remedy(path: Path) -> str:
    return f"delete {path} and run the workflow again; it is made anew"


@contextlib.contextmanager
def open_artifact(path: str | Path, kind: str | None) -> Iterator[h5py.File]:
    """Open an artifact for reading, or say why it cannot be used.

    Parameters
    ----------
    path : path-like
        The artifact.
    kind : str or None
        The kind it must be of; None takes any kind.

    Raises
    ------
    ArtifactError
        When the file is missing, truncated, damaged, not an artifact, of another kind or schema
        version.
    """
    path = Path(path)
    label = "HDF5" if kind is None else kind
    remedy = _remedy(path)
    if not path.is_file():
        raise ArtifactError(f"no {label} artifact", expected="a file", found="nothing", where=path)
    sealed = _check_seal(path, label)
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ArtifactError(
            f"the {label} artifact cannot be opened",
            expected="a whole HDF5 file",
            found=f"{path.stat().st_size} bytes: {error}",
            where=path,
            remedy=remedy,
        ) from error
    with file:
        found = file.attrs.get("kind")
        if found is None or kind not in (None, found):
            raise ArtifactError(
                "the file is another kind of artifact",
                expected=kind or "an artifact of brainflix",
                found=found or "a file without the attribute kind",
                where=path,
            )
        if file.attrs.get("schema_version") != SCHEMA_VERSION:
            raise ArtifactError(
                "the artifact has another schema version",
                expected=SCHEMA_VERSION,
                found=file.attrs.get("schema_version"),
                where=path,
                remedy=remedy,
            )
        if not sealed:
            raise _damaged(path, label)
        if not file.attrs.get("complete", False):
            raise ArtifactError(
                "the artifact is not complete",
                expected="the attribute complete",
                found="a file whose writer was stopped",
                where=path,
                remedy=remedy,
            )
        yield file


def write_dataset(
    parent: h5py.Group,
    name: str,
    values: Any,
    dims: Sequence[str],
    *,
    units: str = "",
) -> h5py.Dataset:
    """Write an array with named dimensions and a unit; strings become UTF-8 HDF5 strings.

    Parameters
    ----------
    parent : h5py.Group
        Where the dataset goes; groups in ``name`` are made.
    name : str
        The dataset's name, with slashes for groups.
    values : array-like
        Numbers, booleans or strings.
    dims : sequence of str
        The name of each axis, as many as ``values`` has.
    units : str
        The unit, empty for none.
    """
    array = np.asarray(values)
    if array.ndim != len(dims):
        raise ArtifactError(f"{name} needs a name an axis", expected=array.ndim, found=list(dims))
    if array.dtype.kind in "UO":
        dataset = parent.create_dataset(name, data=array.astype(object), dtype=h5py.string_dtype())
    else:
        dataset = parent.create_dataset(name, data=array)
    for axis, label in enumerate(dims):
        dataset.dims[axis].label = label
    dataset.attrs["units"] = units
    return dataset


def read_strings(dataset: h5py.Dataset) -> list[str]:
    """Return a one-dimensional string dataset as a list of str."""
    return [str(text) for text in dataset.asstr()[()]]


def write_json(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all: sorted keys, two-space indent, NaN refused."""
    text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_json(path: str | Path) -> dict[str, Any]:
    """Read a JSON object, or raise :class:`ArtifactError` naming the file."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(
            "the JSON artifact cannot be read", found=str(error), where=path
        ) from error
    if not isinstance(content, dict):
        raise ArtifactError("the JSON artifact is not an object", where=path)
    return content


def describe(path: str | Path) -> str:
    """Return an artifact's root attributes and its datasets' dimensions, types and units as text.

    Raises
    ------
    ArtifactError
        When the file is not a whole artifact.
    """
    with open_artifact(path, None) as file:
        lines = [f"{name}: {value}" for name, value in sorted(file.attrs.items())]

        def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Dataset):
                axes = zip(item.dims, item.shape, strict=True)
                shape = ", ".join(f"{axis.label or '?'} {size}" for axis, size in axes)
                kind = "str" if h5py.check_string_dtype(item.dtype) else str(item.dtype)
                units = item.attrs.get("units", "")
                lines.append(f"/{name} ({shape}) {kind} {units}".rstrip())

        file.visititems(add)
    return "\n".join(lines)


@contextlib.contextmanager
def staged_folder(out: Path, last: str, owned: Sequence[str]) -> Iterator[Path]:
    """Yield a temporary folder whose content moves to ``out`` when the block succeeds.

    The file named ``last`` tells that the folder is complete: the old one goes first and the new
    one comes last. When the block raises, nothing in ``out`` has changed.

    Parameters
    ----------
    out : Path
        The stage's folder; other files in it are left alone.
    last : str
        The name of the artifact that other stages read.
    owned : sequence of str
        Glob patterns of what an earlier run of the stage may have left in ``out``.
    """
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    staging = out.parent / f".{out.name}.partial"
    shutil.rmtree(staging, ignore_errors=True)  # what a killed run left
    staging.mkdir()
    try:
        yield staging
        (out / last).unlink(missing_ok=True)
        for pattern in owned:
            for old in sorted(out.glob(pattern)):
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        for new in sorted(staging.iterdir(), key=lambda path: path.name == last):
            new.replace(out / new.name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def reserve_dataset(
    parent: h5py.Group,
    name: str,
    shape: Sequence[int],
    dtype: DTypeLike,
    dims: Sequence[str],
    *,
    units: str = "",
) -> h5py.Dataset:
    """Create a contiguous dataset with named dimensions, to be filled row by row.

    Parameters
    ----------
    parent : h5py.Group
        Where the dataset goes; groups in ``name`` are made.
    name : str
        The dataset's name, with slashes for groups.
    shape : sequence of int
        Its shape.
    dtype : dtype
        Of numbers.
    dims : sequence of str
        The name of each axis.
    units : str
        The unit, empty for none.
    """
    dataset = parent.create_dataset(name, shape=tuple(shape), dtype=dtype)
    for axis, label in enumerate(dims):
        dataset.dims[axis].label = label
    dataset.attrs["units"] = units
    return dataset


def chunks(length: int, size: int) -> Iterator[slice]:
    """Yield slices of at most ``size`` that cover ``range(length)`` in order."""
    for start in range(0, length, size):
        yield slice(start, min(start + size, length))
