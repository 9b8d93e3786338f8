"""Which reconstruction belongs to which clip: by name, by one folder per subject, or by a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from brainflix.errors import ConfigError, StudyError
from brainflix.evaluation.standalone.files import ARRAYS, PICTURES, VIDEOS, listed

SUBJECT = "subject"
GROUP_COLUMNS = ("group", "segment", "scene", "run", "movie")  # the first one found is resampled
_REMEDY = (
    "give both the same names, say which belong together with --pairs TABLE, or evaluate those "
    "that have a partner with --allow-unpaired"
)


@dataclass(frozen=True)
class Pair:
    """A clip and its reconstruction.

    Attributes
    ----------
    clip : str
        Name in the results; unique within a subject.
    true, reconstructed : str
        Names among the clips.
    labels : mapping of str to str
        Subject, group, scene and whatever else a table says.
    """

    clip: str
    true: str
    reconstructed: str
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def subject(self) -> str:
        """The subject; empty where subjects have no names."""
        return self.labels.get(SUBJECT, "")


@dataclass(frozen=True)
class Pairing:
    """All pairs, and what was left out.

    Attributes
    ----------
    pairs : tuple of Pair
    rule : str
        How they were found, for the record.
    unpaired_true, unpaired_reconstructed : tuple of str
        Clips without a partner.
    """

    pairs: tuple[Pair, ...]
    rule: str
    unpaired_true: tuple[str, ...] = ()
    unpaired_reconstructed: tuple[str, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return the pairing as JSON values."""
        return {
            "rule": self.rule,
            "pairs": len(self.pairs),
            "unpaired_true": [*self.unpaired_true],
            "unpaired_reconstructed": [*self.unpaired_reconstructed],
        }


def pair_by_name(
    true: Sequence[str],
    reconstructed: Sequence[str],
    *,
    where: tuple[object, object] = ("", ""),
    allow_unpaired: bool = False,
) -> Pairing:
    """Pair clips of one name; ``sub-01/clip`` belongs to ``clip`` where the true ones lie flat.

    Parameters
    ----------
    true, reconstructed : sequence of str
        Names.
    where : tuple
        The two folders, for the message.
    allow_unpaired : bool
        Leave out clips without a partner instead of raising.

    Raises
    ------
    StudyError
        When clips have no partner.
    """
    known = set(true)
    nested = [name for name in reconstructed if name not in known and "/" in name]
    flat = not any("/" in name for name in true)
    if flat and nested and any(PurePosixPath(name).name in known for name in nested):
        pairs = tuple(_nested_pair(name) for name in reconstructed)
        pairs = tuple(pair for pair in pairs if pair.true in known)
        rule = "name; one folder per subject"
    else:
        pairs = tuple(Pair(name, name, name) for name in reconstructed if name in known)
        rule = "name"
    used = {pair.true for pair in pairs}, {pair.reconstructed for pair in pairs}
    return _complete(
        Pairing(
            pairs,
            rule,
            tuple(name for name in true if name not in used[0]),
            tuple(name for name in reconstructed if name not in used[1]),
        ),
        where,
        allow_unpaired,
    )


def _nested_pair(name: str) -> Pair:
    folder, _, clip = name.rpartition("/")
    return Pair(clip, clip, name, {SUBJECT: folder} if folder else {})


def pair_by_table(
    rows: Sequence[Mapping[str, str]],
    true: Sequence[str],
    reconstructed: Sequence[str],
    *,
    table: object,
    where: tuple[object, object] = ("", ""),
    allow_unpaired: bool = False,
) -> Pairing:
    """Pair clips by the columns ``true`` and ``reconstructed`` of a table.

    Both hold names, with or without a suffix. Other columns become labels; ``clip`` names the pair.

    Raises
    ------
    StudyError
        When the table lacks a column, names a clip that does not exist, names a pair twice, or
        leaves out clips of the folders.
    """
    lacking = [name for name in ("true", "reconstructed") if not rows or name not in rows[0]]
    if lacking:
        raise StudyError(
            "the table does not say which clips belong together",
            expected="columns true and reconstructed, and at least one row",
            found=f"columns {[*rows[0]]}" if rows else "no rows",
            where=table,
        )
    names = {"true": set(true), "reconstructed": set(reconstructed)}
    unknown = [
        f"row {k + 2}, {column}: {row[column]}"
        for k, row in enumerate(rows)
        for column in names
        if _stem(row[column], names[column]) is None
    ]
    if unknown:
        raise StudyError(
            f"the table names {len(unknown)} clips that do not exist",
            found=listed(unknown),
            where=table,
            remedy=f"compare with {where[0]} and {where[1]}",
        )
    found = [
        Pair(
            row.get("clip", ""),
            _stem(row["true"], names["true"]) or "",
            _stem(row["reconstructed"], names["reconstructed"]) or "",
            {k: v for k, v in row.items() if k not in ("clip", "true", "reconstructed")},
        )
        for row in rows
    ]
    pairs = _named(found, table)
    used = {pair.true for pair in pairs}, {pair.reconstructed for pair in pairs}
    rest = Pairing(
        pairs,
        f"table {Path(str(table)).name}",
        tuple(name for name in true if name not in used[0]),
        tuple(name for name in reconstructed if name not in used[1]),
    )
    return _complete(rest, where, allow_unpaired=True)


def _stem(name: str, known: set[str]) -> str | None:
    """Return a name as the clips are called: as it is written, or without its suffix."""
    if name in known:
        return name
    path = PurePosixPath(name)
    bare = path.with_suffix("").as_posix() if path.suffix and path.name else name
    suffixes = VIDEOS | PICTURES | ARRAYS
    return bare if path.suffix.lower() in suffixes and bare in known else None


def _named(pairs: Sequence[Pair], table: object) -> tuple[Pair, ...]:
    """Name each pair by its ``clip`` column, else its true clip, else its reconstruction."""
    for choose in (lambda p: p.clip or p.true, lambda p: p.clip or p.reconstructed):
        named = tuple(replace(pair, clip=choose(pair)) for pair in pairs)
        count = Counter((pair.subject, pair.clip) for pair in named)
        if max(count.values()) == 1:
            return named
    twice = [f"{subject} {clip}".strip() for (subject, clip), n in count.items() if n > 1]
    raise StudyError(
        "the table has pairs of one name",
        expected="each clip once per subject, or a column clip that distinguishes pairs",
        found=listed(twice),
        where=table,
    )


def _complete(pairing: Pairing, where: tuple[object, object], allow_unpaired: bool) -> Pairing:
    """Return a pairing, or raise where clips lack a partner."""
    lonely = [f"{where[0]}: {name} has no reconstruction" for name in pairing.unpaired_true]
    lonely += [f"{where[1]}: {name} has no true clip" for name in pairing.unpaired_reconstructed]
    if not pairing.pairs:
        raise StudyError(
            "not one clip has a partner",
            expected="clips of one name in both",
            found=listed(lonely),
            where=f"{where[0]}, {where[1]}",
            remedy="say which belong together with --pairs TABLE (columns true, reconstructed)",
        )
    if lonely and not allow_unpaired:
        raise StudyError(
            f"{len(lonely)} clips have no partner",
            expected=f"a partner for each; {len(pairing.pairs)} have one",
            found=listed(lonely),
            where=f"{where[0]}, {where[1]}",
            remedy=_REMEDY,
        )
    incomplete = _unbalanced(pairing.pairs)
    if incomplete and not allow_unpaired:
        raise StudyError(
            "subjects were not shown the same clips",
            expected="every clip from every subject",
            found=listed(incomplete),
            where=where[1],
            remedy="add what is missing, or use --allow-unpaired",
        )
    return pairing


def _unbalanced(pairs: Iterable[Pair]) -> list[str]:
    clips: dict[str, set[str]] = {}
    for pair in pairs:
        clips.setdefault(pair.subject, set()).add(pair.true)
    every = set().union(*clips.values())
    return [
        f"{subject} lacks {', '.join(sorted(every - own)[:3])}"
        for subject, own in sorted(clips.items())
        if own != every
    ]


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a table of text: comma-separated, or tab-separated in .tsv; header in the first row.

    Raises
    ------
    StudyError
        When it cannot be read or has no rows.
    """
    import csv

    try:
        with open(path, newline="", encoding="utf-8-sig") as stream:
            delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
            rows = [
                {str(k).strip(): (v or "").strip() for k, v in row.items() if k is not None}
                for row in csv.DictReader(stream, delimiter=delimiter)
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudyError("the table cannot be read", found=str(error), where=path) from error
    if not rows:
        raise StudyError("the table has no rows", expected="a header and rows", where=path)
    return rows


def label_pairs(pairing: Pairing, rows: Sequence[Mapping[str, str]], table: object) -> Pairing:
    """Return a pairing with the labels of a table that has one row per clip.

    The rows are found by ``clip`` or, where there is no such column, by the first column, which
    holds the names of true clips, and by ``subject`` where the pairs have subjects.

    Raises
    ------
    StudyError
        When a clip has no row, or several that differ.
    """
    key = "clip" if "clip" in rows[0] else next(iter(rows[0]))
    by_subject = SUBJECT in rows[0] and any(pair.subject for pair in pairing.pairs)
    names = {pair.clip for pair in pairing.pairs} | {pair.true for pair in pairing.pairs}
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        name = row[SUBJECT] if by_subject else "", _stem(row[key], names) or row[key]
        labels = {column: value for column, value in row.items() if column != key}
        if found.setdefault(name, labels) != labels:
            raise StudyError("a clip has two different rows", found=name[1], where=table)

    def labels_of(pair: Pair) -> dict[str, str] | None:
        subject = pair.subject if by_subject else ""
        return found.get((subject, pair.clip), found.get((subject, pair.true)))

    lacking = [f"{p.subject} {p.clip}".strip() for p in pairing.pairs if labels_of(p) is None]
    if lacking:
        raise StudyError(
            f"{len(lacking)} clips have no row in the table",
            expected=f"one row per clip, named in the column {key}",
            found=listed(lacking),
            where=table,
        )
    pairs = tuple(
        replace(pair, labels={**pair.labels, **(labels_of(pair) or {})}) for pair in pairing.pairs
    )
    return replace(pairing, pairs=pairs)


def choose_groups(
    pairs: Sequence[Pair], column: str | None, where: object
) -> tuple[tuple[str, ...], str]:
    """Return the group of each pair, and the column it is from ("" for none: each its own).

    Raises
    ------
    ConfigError
        When a column is asked for that some pair lacks.
    """
    shared = set.intersection(*(set(pair.labels) for pair in pairs)) if pairs else set()
    if column is not None and column not in shared:
        raise ConfigError(
            f"the pairs have no column {column}",
            expected=f"one of {sorted(shared)}" if shared else "a table, by --groups or --pairs",
            where=where,
        )
    chosen = column or next((name for name in GROUP_COLUMNS if name in shared), "")
    if not chosen:
        return tuple(pair.true for pair in pairs), ""
    return tuple(pair.labels[chosen] for pair in pairs), chosen
