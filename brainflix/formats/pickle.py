"""Pickles of any origin, read by an interpreter that knows data and calls nothing.

A pickle is a program. Python's own unpickler runs it; this one interprets the instructions that
make numbers, texts and containers, and knows a handful of constructors by name, which it carries
out by code of its own. Any other name, and any other instruction, is refused before anything
happens. Values larger than ``MAPPED`` bytes are not read but mapped, so betas cost no memory.

Why not ``pickle.Unpickler`` with its own ``find_class``: it reads every array whole (5 GB for a
subject of BOLD Moments, of which one set of clips is needed at a time), calls the real constructors
with whatever arguments the file gives, and lets a few bytes of instructions reserve any memory.
"""

from __future__ import annotations

import os
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from brainflix.errors import StudyError
from brainflix.formats.pickle_arrays import (
    ADMITTED,
    SAFE_EXPORT,
    Constructor,
    Span,
    Unfinished,
    not_data,
)

MAPPED = 1 << 20
_BYTE_CODES = (b"B", b"\x8e")  # BINBYTES, BINBYTES8
_BYTE_ARRAY = b"\x96"  # BYTEARRAY8, which protocol 5 writes for arrays; its argument is BINBYTES8's


class _Bounded:
    """A stream of a part of a file in which no value is longer than the part.

    ``tell`` is what pickletools asks for in front of each instruction, so that the byte which is
    read next is one.
    """

    def __init__(self, stream: BinaryIO, path: Path, end: int) -> None:
        self.stream, self.path, self.end = stream, path, end
        self.instruction, self.at_instruction = b"", False

    def read(self, size: int) -> bytes | Span:
        left = self.end - self.stream.tell()
        if size > left:
            raise StudyError(
                "a pickle declares a value that is longer than the file",
                expected=f"at most {left} bytes",
                found=f"{size} bytes",
                where=self.path,
                remedy="copy or download the file again; do not use it if that does not help",
            )
        if self.at_instruction and size == 1:
            self.at_instruction = False
            code = self.stream.read(1)
            self.instruction = _BYTE_CODES[1] if code == _BYTE_ARRAY else code
            return self.instruction
        if size <= MAPPED or self.instruction not in _BYTE_CODES:
            return self.stream.read(size)
        span = Span(self.path, self.stream.tell(), size)
        self.stream.seek(size, os.SEEK_CUR)
        return span

    def readline(self) -> bytes:
        return self.stream.readline(max(self.end - self.stream.tell(), 0))

    def tell(self) -> int:
        self.at_instruction = True
        return self.stream.tell()


_MARK = object()
_NUMBERS = "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT"
_TEXTS = "STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE BINUNICODE8"
_BYTES = "BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"
_LITERALS = frozenset(f"{_NUMBERS} {_TEXTS} {_BYTES}".split())
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_FRESH: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
_FIXED_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_SILENT = frozenset(("PROTO", "FRAME"))


class Interpreter:
    """A stack machine for the instructions of a pickle that make data.

    Parameters
    ----------
    admitted : mapping of str to Constructor
        The names that may be called.
    persistent : callable, optional
        What a persistent id stands for; without one, such ids are refused.
    """

    def __init__(
        self,
        admitted: Mapping[str, Constructor] = ADMITTED,
        persistent: Callable[[Any], Any] | None = None,
    ) -> None:
        self.admitted, self.persistent = admitted, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.open = 0  # unfinished objects

    def run(self, stream: Any) -> Any:
        """Carry the instructions of a stream out and return what they leave.

        Raises
        ------
        StudyError
            For a name or an instruction that is not admitted.
        """
        for instruction, argument, _ in pickletools.genops(stream):
            name = instruction.name
            if name in _LITERALS:
                self.stack.append(argument)
            elif name in _CONSTANTS:
                self.stack.append(_CONSTANTS[name])
            elif name in _FRESH:
                self.stack.append(_FRESH[name]())
            elif name in _FIXED_TUPLES:
                count = _FIXED_TUPLES[name]
                self._need(count)
                self.stack[-count:] = [tuple(self.stack[-count:])]
            elif name in _ACTIONS:
                _ACTIONS[name](self, argument)
            elif name == "STOP":
                break
            elif name not in _SILENT:
                raise not_data("an instruction that could run code", name)
        self._need(1)
        if len(self.stack) != 1 or self.open:
            raise not_data("values that are left over", f"{len(self.stack)} values")
        return self.stack.pop()

    def _need(self, count: int) -> None:
        if len(self.stack) < count or any(item is _MARK for item in self.stack[-count:]):
            raise not_data("an instruction without its values", f"{len(self.stack)} values")

    def _pop(self) -> Any:
        self._need(1)
        return self.stack.pop()

    def _marked(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                items = self.stack[place + 1 :]
                del self.stack[place:]
                return items
        raise not_data("an instruction without its mark", f"{len(self.stack)} values")

    def _top(self, kind: type) -> Any:
        self._need(1)
        if not isinstance(self.stack[-1], kind):
            raise not_data(f"an instruction for a {kind.__name__}", type(self.stack[-1]).__name__)
        return self.stack[-1]

    def mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def pop(self, _: Any) -> None:
        if self.stack and self.stack[-1] is _MARK:
            self.stack.pop()
        else:
            self._pop()

    def pop_mark(self, _: Any) -> None:
        self._marked()

    def dup(self, _: Any) -> None:
        self._need(1)
        self.stack.append(self.stack[-1])

    def append(self, _: Any) -> None:
        value = self._pop()
        self._top(list).append(value)

    def appends(self, _: Any) -> None:
        values = self._marked()
        self._top(list).extend(values)

    def make_list(self, _: Any) -> None:
        self.stack.append(self._marked())

    def make_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._marked()))

    def setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._top(dict)[key] = value

    def setitems(self, _: Any) -> None:
        values = self._marked()
        self._top(dict).update(_pairs(values))

    def make_dict(self, _: Any) -> None:
        self.stack.append(dict(_pairs(self._marked())))

    def additems(self, _: Any) -> None:
        values = self._marked()
        self._top(set).update(values)

    def make_frozenset(self, _: Any) -> None:
        self.stack.append(frozenset(self._marked()))

    def _remember(self, place: int) -> None:
        self._need(1)
        self.memo[place] = self.stack[-1]
        if isinstance(self.stack[-1], Unfinished):
            self.stack[-1].places.append(place)

    def put(self, argument: Any) -> None:
        self._remember(int(argument))

    def memoize(self, _: Any) -> None:
        self._remember(len(self.memo))

    def get(self, argument: Any) -> None:
        if int(argument) not in self.memo:
            raise not_data("a reference to nothing", argument)
        self.stack.append(self.memo[int(argument)])

    def _named(self, module: Any, name: Any) -> None:
        full = f"{module}.{name}"
        if full not in self.admitted:
            raise StudyError(
                "a pickle names something that is not data; it was not run",
                expected="numpy arrays, builtin containers, collections.OrderedDict",
                found=full[:200],
                remedy=SAFE_EXPORT,
            )
        self.stack.append(self.admitted[full])

    def global_name(self, argument: Any) -> None:
        module, _, name = str(argument).partition(" ")
        self._named(module, name)

    def stack_global(self, _: Any) -> None:
        name, module = self._pop(), self._pop()
        self._named(module, name)

    def reduce(self, _: Any) -> None:
        arguments, made = self._pop(), self._pop()
        if not isinstance(made, Constructor) or not isinstance(arguments, tuple):
            raise not_data("a call of something unknown", type(made).__name__)
        self.stack.append(made.call(*arguments))
        self.open += isinstance(self.stack[-1], Unfinished)

    def build(self, _: Any) -> None:
        state, made = self._pop(), self._pop()
        if isinstance(made, OrderedDict):  # attributes beside its items, such as torch's versions
            self.stack.append(made)
            return
        if not isinstance(made, Unfinished):
            raise not_data("a state for something unknown", type(made).__name__)
        finished = made.build(state)
        for place in made.places:
            self.memo[place] = finished
        self.open -= 1
        self.stack.append(finished)

    def binpersid(self, _: Any) -> None:
        if self.persistent is None:
            raise not_data("a reference to something outside of it", "a persistent id")
        self.stack.append(self.persistent(self._pop()))


def _pairs(values: Sequence[Any]) -> list[tuple[Any, Any]]:
    return list(zip(values[::2], values[1::2], strict=True))


_ACTIONS: Mapping[str, Callable[[Interpreter, Any], None]] = {
    "MARK": Interpreter.mark,
    "POP": Interpreter.pop,
    "POP_MARK": Interpreter.pop_mark,
    "DUP": Interpreter.dup,
    "APPEND": Interpreter.append,
    "APPENDS": Interpreter.appends,
    "LIST": Interpreter.make_list,
    "TUPLE": Interpreter.make_tuple,
    "SETITEM": Interpreter.setitem,
    "SETITEMS": Interpreter.setitems,
    "DICT": Interpreter.make_dict,
    "ADDITEMS": Interpreter.additems,
    "FROZENSET": Interpreter.make_frozenset,
    "PUT": Interpreter.put,
    "MEMOIZE": Interpreter.memoize,
    "GET": Interpreter.get,
    "GLOBAL": Interpreter.global_name,
    "STACK_GLOBAL": Interpreter.stack_global,
    "REDUCE": Interpreter.reduce,
    "BUILD": Interpreter.build,
    "BINPERSID": Interpreter.binpersid,
    "BINPUT": Interpreter.put,
    "LONG_BINPUT": Interpreter.put,
    "BINGET": Interpreter.get,
    "LONG_BINGET": Interpreter.get,
}


def interpret(path: Path, offset: int, length: int, interpreter: Interpreter | None = None) -> Any:
    """Return the data of the pickle that fills a stretch of a file.

    Raises
    ------
    StudyError
        When it is damaged, or holds anything but data; nothing of it has run.
    """
    try:
        with open(path, "rb") as stream:
            stream.seek(offset)
            return (interpreter or Interpreter()).run(_Bounded(stream, path, offset + length))
    except StudyError as error:
        if error.where is None:
            error.where = path
        raise
    except Exception as error:  # damaged instructions fail in many ways
        raise StudyError(
            "the pickle cannot be read; it is truncated or damaged",
            expected="a whole pickle of numpy arrays and builtin containers",
            found=f"{type(error).__name__}: {str(error)[:200]}",
            where=path,
            remedy="copy or download the file again",
        ) from error


def read_pickle(path: Path) -> Any:
    """Return what a pickle holds: numbers, texts, containers, numpy arrays.

    Arrays of more than a MiB are mapped from the file, read-only.

    Raises
    ------
    StudyError
        When the file is missing or damaged, declares sizes that it does not have, or names
        anything but data.
    """
    if not path.is_file():
        raise StudyError("a pickle does not exist", expected="a file", where=path)
    return interpret(path, 0, path.stat().st_size)


def read_object_npy(path: Path) -> Any:
    """Return the objects of an .npy file that ``numpy.save`` pickled; one object alone as it is.

    Raises
    ------
    StudyError
        As :func:`read_pickle` does, and when the file is not an .npy file.
    """
    try:
        with open(path, "rb") as stream:
            version = np.lib.format.read_magic(stream)
            header = {
                (1, 0): np.lib.format.read_array_header_1_0,
                (2, 0): np.lib.format.read_array_header_2_0,
            }[version]
            shape, _, dtype = header(stream)
            offset = stream.tell()
    except (OSError, ValueError, KeyError) as error:
        raise StudyError(
            "the file is not an .npy file, or is damaged",
            expected="an .npy file",
            found=error,
            where=path,
        ) from error
    if dtype.kind != "O":
        return np.load(path, mmap_mode="r", allow_pickle=False)
    objects = interpret(path, offset, path.stat().st_size - offset)
    if not isinstance(objects, np.ndarray) or objects.shape != shape:
        raise StudyError(
            "an .npy file of objects holds something else than its header says",
            expected=f"objects {shape}",
            found=type(objects).__name__,
            where=path,
        )
    return objects[()] if objects.ndim == 0 else objects
