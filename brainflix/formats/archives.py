"""Zip archives of arrays (npz, pt) without unpacking them: where each member lies, checked.

An archive is refused as a whole when a member's name leads out of it, when members overlap or reach
past the file, or when one would swell to a size that real data do not (a zip bomb).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from brainflix.errors import StudyError

SWELL = 300  # times that compressed members may grow ...
SWELL_FREE = 1 << 26  # ... once they exceed so many bytes
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_BLOCK = 1 << 22


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Parameters
    ----------
    name : str
        Its name in the archive.
    offset : int
        Where its bytes start in the archive.
    size : int
        Bytes of the content.
    stored : bool
        True when the content lies in the archive as it is, uncompressed.
    crc : int
        CRC-32 of the content.
    """

    name: str
    offset: int
    size: int
    stored: bool
    crc: int


def _damaged(path: Path, problem: object) -> StudyError:
    return StudyError(
        "the archive is truncated, damaged or hostile",
        expected="a whole zip archive",
        found=problem,
        where=path,
        remedy="copy or download the file again",
    )


def list_members(path: Path) -> dict[str, Member]:
    """Return the members of a zip archive by name.

    Raises
    ------
    StudyError
        When the file is not a whole archive, or a member has a name or a size that it may not have.
    """
    length = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive, open(path, "rb") as stream:
            members: dict[str, Member] = {}
            taken = 0
            for entry in archive.infolist():
                _check_entry(entry, path, length)
                stream.seek(entry.header_offset)
                header = stream.read(_LOCAL_HEADER.size)
                signature, name_length, extra_length = _LOCAL_HEADER.unpack(header)
                offset = entry.header_offset + _LOCAL_HEADER.size + name_length + extra_length
                taken += entry.compress_size
                if signature != b"PK\x03\x04" or offset + entry.compress_size > length:
                    raise _damaged(path, f"member {entry.filename} reaches past the end")
                if entry.filename in members or taken > length:
                    raise _damaged(path, f"member {entry.filename} overlaps with others")
                stored = entry.compress_type == zipfile.ZIP_STORED
                members[entry.filename] = Member(
                    entry.filename, offset, entry.file_size, stored, entry.CRC
                )
            return members
    except StudyError:
        raise
    except Exception as error:  # zipfile raises many kinds for a damaged archive
        raise _damaged(path, f"{length} bytes, {type(error).__name__}: {error}") from error


def _check_entry(entry: zipfile.ZipInfo, path: Path, length: int) -> None:
    name = PurePosixPath(entry.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
        raise StudyError(
            "an archive holds a member whose name leads out of it",
            expected="relative names without ..",
            found=entry.filename,
            where=path,
            remedy="do not use the file; ask where it comes from",
        )
    if entry.flag_bits & 1:
        raise _damaged(path, f"member {entry.filename} is encrypted")
    if entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
        raise _damaged(path, f"member {entry.filename} declares two sizes")
    if entry.file_size > max(SWELL_FREE, SWELL * entry.compress_size):
        raise StudyError(
            "a member of an archive would swell beyond measure",
            expected=f"at most {SWELL} times its compressed size",
            found=f"{entry.filename}: {entry.compress_size} bytes that become {entry.file_size}",
            where=path,
            remedy="if the array really holds next to nothing, save it uncompressed (numpy.savez)",
        )


def verify_member(path: Path, member: Member) -> None:
    """Read a stored member once and compare its checksum; memory does not grow with it.

    Raises
    ------
    StudyError
        When the content is not what was written.
    """
    checksum, left = 0, member.size
    with open(path, "rb") as stream:
        stream.seek(member.offset)
        while left:
            block = stream.read(min(_BLOCK, left))
            if not block:
                break
            checksum = zlib.crc32(block, checksum)
            left -= len(block)
    if left or checksum != member.crc:
        raise StudyError(
            "a member of an archive is damaged: its checksum is wrong",
            expected=f"CRC-32 {member.crc:08x}",
            found=f"{checksum:08x}",
            where=f"{path}, {member.name}",
            remedy="copy or download the file again",
        )


def require_member(members: Mapping[str, Member], name: str, path: Path) -> Member:
    """Return a member, or raise :class:`StudyError` with the names that there are."""
    if name not in members:
        raise StudyError(
            "the archive lacks a member",
            expected=name,
            found=", ".join(sorted(members)[:20]),
            where=path,
        )
    return members[name]
