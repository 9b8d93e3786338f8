"""Tensors of torch's .pt files as mapped numpy arrays; torch itself is not imported.

A .pt file is a zip archive: ``data.pkl`` says how tensors lie in storages, each storage is a member
of its own. The pickle is interpreted (see :mod:`brainflix.formats.pickle`), never run. The layout
is that of torch.save since version 1.6; older files are refused with the way to convert them.

Why not ``torch.load(weights_only=True, mmap=True)``: readers run in every job of a workflow, and
importing torch takes seconds and some 200 MB; and a view that repeats its storage can declare any
size, which is refused here before it is made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.archives import Member, list_members, require_member, verify_member
from brainflix.formats.pickle import Interpreter, interpret
from brainflix.formats.pickle_arrays import ADMITTED, Constructor, not_data

STORAGES = {
    "DoubleStorage": "f8",
    "FloatStorage": "f4",
    "HalfStorage": "f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "i8",
    "IntStorage": "i4",
    "ShortStorage": "i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
    "ComplexFloatStorage": "c8",
    "ComplexDoubleStorage": "c16",
}
_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")  # protocol 2 and torch's magic number


class _Storage:
    """The elements of a storage: a mapped 1-D array; bfloat16 is widened to float32."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values


class _Archive:
    """A .pt file whose storages are mapped when data.pkl asks for them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.members = list_members(path)
        pickles = [name for name in self.members if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise StudyError(
                "the archive is not a tensor file",
                expected="one member data.pkl, as torch.save writes it",
                found=", ".join(sorted(self.members)[:10]) or "an empty archive",
                where=path,
            )
        self.prefix = pickles[0].removesuffix("data.pkl")
        self.order = self._byte_order()
        self.storages: dict[str, _Storage] = {}

    def _byte_order(self) -> str:
        name = f"{self.prefix}byteorder"
        if name not in self.members:
            return "<"
        member = self._stored(name)
        with open(self.path, "rb") as stream:
            stream.seek(member.offset)
            return ">" if stream.read(min(member.size, 8)) == b"big" else "<"

    def read(self) -> Any:
        """Return what data.pkl describes, tensors as arrays."""
        admitted = dict(ADMITTED)
        for name in STORAGES:
            admitted[f"torch.{name}"] = Constructor(f"torch.{name}", _never)
        name = "torch._utils._rebuild_tensor_v2"
        admitted[name] = Constructor(name, _tensor)
        member = self._stored(f"{self.prefix}data.pkl")
        return interpret(self.path, member.offset, member.size, Interpreter(admitted, self.storage))

    def _stored(self, name: str) -> Member:
        member = require_member(self.members, name, self.path)
        if not member.stored:
            raise StudyError(
                "a tensor file is compressed, which torch.save never does",
                expected="stored members",
                found=name,
                where=self.path,
                remedy="do not use the file, or save it again by torch.save where you trust it",
            )
        verify_member(self.path, member)
        return member

    def storage(self, reference: Any) -> _Storage:
        """Return the storage that a persistent id names: (kind, type, key, device, elements)."""
        if (
            not isinstance(reference, tuple)
            or len(reference) != 5
            or reference[0] != "storage"
            or not isinstance(reference[1], Constructor)
            or not reference[1].name.startswith("torch.")
            or type(reference[4]) is not int
        ):
            raise not_data("a reference to something that is not a storage", repr(reference)[:80])
        key, kind = str(reference[2]), STORAGES[reference[1].name.removeprefix("torch.")]
        if f"{key} {kind}" not in self.storages:
            member = self._stored(f"{self.prefix}data/{key}")
            dtype = np.dtype(self.order + ("u2" if kind == "bf16" else kind).replace("?", "b1"))
            if reference[4] < 0 or reference[4] * dtype.itemsize != member.size:
                raise StudyError(
                    "a storage has another size than declared",
                    expected=f"{reference[4]} values of {dtype.itemsize} bytes",
                    found=f"{member.size} bytes",
                    where=f"{self.path}, {member.name}",
                    remedy="copy or download the file again",
                )
            self.storages[f"{key} {kind}"] = _Storage(_mapped(self.path, member, dtype, kind))
        return self.storages[f"{key} {kind}"]


def _mapped(path: Path, member: Member, dtype: np.dtype, kind: str) -> np.ndarray:
    if member.size == 0:
        return np.empty(0, np.float32 if kind == "bf16" else dtype)
    values = np.memmap(path, dtype, "r", member.offset, member.size // dtype.itemsize)
    if kind != "bf16":
        return values.view(np.ndarray)
    return (values.astype(np.uint32) << 16).view(np.float32)  # its bits are float32's upper half


def _never(*arguments: Any) -> Any:
    raise not_data("a call of a storage", f"{len(arguments)} arguments")


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, *others: Any
) -> np.ndarray:  # others: requires_grad, backward hooks, metadata
    """Return a view of a storage, refused when it would leave or repeat it."""
    numbers = (offset, *shape, *strides) if isinstance(shape, tuple | list) else ()
    if (
        not isinstance(storage, _Storage)
        or not all(type(number) is int and number >= 0 for number in numbers)
        or not numbers
        or len(shape) != len(strides)
    ):
        raise not_data("a tensor made in an unusual way", f"{shape}, {strides}"[:80])
    # how many values the view has, and the last place of the storage that it reaches; a stride of 0
    # would repeat the storage, so a view may not have more values than that
    count, last = 1, offset
    for size, stride in zip(shape, strides, strict=True):
        count *= size
        last += (size - 1) * stride
    values = storage.values
    if count and (last >= len(values) or count > len(values)):
        raise StudyError(
            "a tensor is larger than its storage",
            expected=f"at most {len(values)} values",
            found=f"{count} values up to {last}: shape {shape}, strides {strides}"[:200],
            remedy="where you trust the file: torch.save(tensor.contiguous(), path)",
        )
    if not count:
        return np.empty(shape, values.dtype)
    steps = tuple(stride * values.dtype.itemsize for stride in strides)
    return np.lib.stride_tricks.as_strided(values[offset:], shape, steps, writeable=False)


def open_tensors(path: Path) -> Any:
    """Return what a .pt file holds: arrays where tensors are, in the same dicts and lists.

    Parameters
    ----------
    path : Path
        A file of torch.save (version 1.6 or later).

    Returns
    -------
    ndarray, dict, list, ...
        Arrays are mapped read-only; bfloat16 becomes float32, in memory.

    Raises
    ------
    StudyError
        When the file is missing, damaged (checksums are compared), of the old layout, or holds
        anything but tensors, numbers, texts and containers.
    """
    if not path.is_file():
        raise StudyError("a tensor file does not exist", expected="a file", where=path)
    with open(path, "rb") as stream:
        start = stream.read(len(_LEGACY))
    if start == _LEGACY:
        raise StudyError(
            "the tensor file has the layout of torch before 1.6",
            expected="a zip archive",
            found="one pickle after the other",
            where=path,
            remedy="convert it: torch.save(torch.load(path, weights_only=True), path)",
        )
    return _Archive(path).read()


def open_tensor(path: Path, key: str | None = None) -> np.ndarray:
    """Return one tensor of a .pt file as a mapped array.

    Parameters
    ----------
    path : Path
        The file.
    key : str, optional
        Keys and numbers that lead to the tensor, joined by "/", when the file holds several.

    Raises
    ------
    StudyError
        As :func:`open_tensors`, and when the file lacks the tensor.
    """
    content = open_tensors(path)
    known = dict(tensor_names(content))
    name = key or ""
    if name not in known and key is None and len(known) == 1:
        name = next(iter(known))
    if name not in known:
        raise StudyError(
            "the file lacks a tensor",
            expected=key or "one tensor, or the name of one of several",
            found=", ".join(sorted(known)[:20]) or type(content).__name__,
            where=path,
        )
    return known[name]


def tensor_names(content: Any, prefix: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield the name and array of each tensor in dicts and lists, names joined by "/"."""
    if isinstance(content, np.ndarray):
        yield prefix, content
    elif isinstance(content, Mapping | list | tuple):
        items = content.items() if isinstance(content, Mapping) else enumerate(content)
        for key, value in items:
            yield from tensor_names(value, f"{prefix}/{key}" if prefix else str(key))
