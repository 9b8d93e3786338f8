"""What pickles of data name: numpy arrays, their types, builtin containers; made by our own code.

The constructors are not the real ones but stand-ins that check their arguments, so that no call in
a file can reserve memory, forge an array's flags or reach anything else.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from brainflix.errors import StudyError

_DTYPE = re.compile(r"^[|<>=]?(b1|[iu][1248]|f[248]|c8|c16|\?|[SU]\d{1,9}|O8?)$")
SAFE_EXPORT = "export it once where you trust it, such as by numpy.save(..., allow_pickle=False)"


class Span:
    """Bytes of a file that are left where they are: offset and length in bytes."""

    def __init__(self, path: Path, offset: int, length: int) -> None:
        self.path, self.offset, self.length = path, offset, length

    def __len__(self) -> int:
        return self.length


class Constructor:
    """An admitted name: what its call with positional arguments yields.

    Parameters
    ----------
    name : str
        Module and name as the pickle has them.
    call : callable
        Takes the arguments of the pickle, unchecked.
    """

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self.name, self.call = name, call


class Unfinished(ABC):
    """An object that a later BUILD instruction completes."""

    def __init__(self) -> None:
        self.places: list[int] = []  # of the memo

    @abstractmethod
    def build(self, state: Any) -> Any:
        """Return the completed object."""


def not_data(what: str, value: object) -> StudyError:
    return StudyError(
        f"a pickle holds {what}",
        expected="numbers, texts, containers and numpy arrays of them",
        found=value,
        remedy=SAFE_EXPORT,
    )


class _Dtype(Unfinished):
    def __init__(self, text: Any, align: Any = False, copy: Any = True) -> None:
        super().__init__()
        if isinstance(text, bytes):
            text = text.decode("latin-1")
        if not isinstance(text, str) or not _DTYPE.match(text):
            raise not_data("an array of an unknown type", repr(text)[:60])
        self.dtype = np.dtype(text)
        if self.dtype.itemsize == 0:
            raise not_data("an array of items without size", text)

    def build(self, state: Any) -> np.dtype:
        # (version, byte order, subarray, names, fields, size, alignment, flags)
        if not isinstance(state, tuple) or len(state) < 5 or any(x is not None for x in state[2:5]):
            raise not_data("an array with fields", repr(state)[:60])
        order = state[1].decode("latin-1") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise not_data("an array of an unknown byte order", repr(order)[:20])
        return (
            self.dtype if order in "|=" else self.dtype.newbyteorder(">" if order == ">" else "<")
        )


def _dtype(value: Any) -> np.dtype:
    if isinstance(value, _Dtype):
        return value.dtype
    if not isinstance(value, np.dtype):
        raise not_data("an array without a type", type(value).__name__)
    return value


def array_from(raw: Any, dtype: np.dtype, shape: Any, order: str) -> np.ndarray:
    """Return an array over bytes, a mapped span or (for objects) a list.

    Raises
    ------
    StudyError
        When the size that is declared is not that of the bytes.
    """
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise not_data("an array of an impossible shape", repr(shape)[:60])
    count = 1
    for size in shape:
        count *= size
    if dtype.kind == "O":
        if not isinstance(raw, list) or len(raw) != count:
            raise not_data("an array whose size is not that of its values", shape)
        objects = np.empty(count, dtype=object)
        objects[:] = [*raw, None][:count]
        return objects.reshape(shape, order="F" if order == "F" else "C")
    if isinstance(raw, str):  # bytes of Python 2
        raw = raw.encode("latin-1")
    if not isinstance(raw, bytes | bytearray | Span) or len(raw) != count * dtype.itemsize:
        size = len(raw) if hasattr(raw, "__len__") else type(raw).__name__
        raise not_data(
            "an array whose size is not that of its bytes", f"{shape} {dtype}, {size} bytes"
        )
    if isinstance(raw, Span):
        values: np.ndarray = np.memmap(raw.path, dtype, "r", raw.offset, count)
    else:
        values = np.frombuffer(raw, dtype)
    return values.view(np.ndarray).reshape(shape, order="F" if order == "F" else "C")


class _Array(Unfinished):
    def __init__(self, kind: Any, shape: Any, code: Any) -> None:
        super().__init__()
        if not isinstance(kind, Constructor) or kind.name != "numpy.ndarray" or shape != (0,):
            raise not_data("an array made in an unusual way", repr(shape)[:60])

    def build(self, state: Any) -> np.ndarray:
        if not isinstance(state, tuple) or len(state) not in (4, 5):
            raise not_data("an array made in an unusual way", repr(state)[:60])
        shape, dtype, fortran, raw = state[-4:]
        return array_from(raw, _dtype(dtype), shape, "F" if fortran else "C")


def _scalar(dtype: Any, raw: Any = b"") -> Any:
    return array_from(raw, _dtype(dtype), (), "C")[()]


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any, axes: Any = None) -> np.ndarray:
    if axes is not None:
        raise not_data("an array of permuted axes", repr(axes)[:60])
    return array_from(raw, _dtype(dtype), shape, str(order))


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise not_data("an unusual call of _codecs.encode", repr(encoding)[:20])
    return text.encode("latin-1")


def _container(kind: Callable[..., Any]) -> Callable[..., Any]:
    def make(values: Any = ()) -> Any:
        if not isinstance(values, list | tuple | set | dict | bytes | str):
            raise not_data("a container made in an unusual way", type(values).__name__)
        return kind(values)

    return make


def _never(*arguments: Any) -> Any:
    raise not_data("a call of a type that is only named elsewhere", f"{len(arguments)} arguments")


def _byte_array(values: Any = b"", encoding: Any = "latin-1") -> bytes:
    return values if isinstance(values, bytes) else _encode(values, encoding)


def _admitted() -> dict[str, Constructor]:
    calls: dict[str, Callable[..., Any]] = {
        "numpy.ndarray": _never,
        "numpy.dtype": _Dtype,
        "_codecs.encode": _encode,
        "collections.OrderedDict": _container(OrderedDict),
    }
    for module in ("numpy.core", "numpy._core"):
        calls[f"{module}.multiarray._reconstruct"] = _Array
        calls[f"{module}.multiarray.scalar"] = _scalar
        calls[f"{module}.numeric._frombuffer"] = _from_buffer
    for module in ("builtins", "__builtin__"):
        calls[f"{module}.bytearray"] = _byte_array
        calls[f"{module}.bytes"] = _byte_array
        for kind in (list, tuple, dict, set, frozenset):
            calls[f"{module}.{kind.__name__}"] = _container(kind)
        calls[f"{module}.complex"] = lambda real, imaginary: complex(float(real), float(imaginary))
    return {name: Constructor(name, call) for name, call in calls.items()}


ADMITTED: Mapping[str, Constructor] = _admitted()
