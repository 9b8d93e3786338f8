"""The one kind of table of the page: sorted by a click on a head, filtered by a form above it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    title : str
    words : bool
        Whether it holds words, set to the left, rather than numbers.
    hint : str
        What the column is, for a pointer that rests on its head.
    """

    title: str
    words: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    text : str
    order : float or str or None
        What the table is sorted by, where the text does not do; None sorts last.
    style : str
        Class of the cell: "value" for the system's own score, "beats" for a baseline that
        reaches it.
    code : str
        A name in the configuration, shown after the text.
    detail : str
        Shown small below the text.
    href : str
        Where the text leads.
    """

    text: str
    order: float | str | None = None
    style: str = ""
    code: str = ""
    detail: str = ""
    href: str = ""


@dataclass(frozen=True)
class TableRow:
    """A row of a table.

    Attributes
    ----------
    cells : tuple of Cell
        The first is the row's head.
    keys : mapping of str to str
        What forms filter by, such as ``{"subject": "sub-01"}``; several values are separated by
        blanks.
    style : str
        Class of the row: "pooled" for all subjects together.
    """

    cells: tuple[Cell, ...]
    keys: Mapping[str, str] = field(default_factory=dict)
    style: str = ""


@dataclass(frozen=True)
class FilterField:
    """A choice in the form above a table or a grid.

    Attributes
    ----------
    key : str
        The rows' key that is compared.
    label : str
    options : tuple of str
    chosen : str
        What is chosen when the page opens; empty for all.
    """

    key: str
    label: str
    options: tuple[str, ...]
    chosen: str = ""


@dataclass(frozen=True)
class DataTable:
    """A table that scrolls sideways where it is wider than the page.

    Attributes
    ----------
    name : str
        Its identifier, unique on the page.
    label : str
        What it shows, for those who do not see it.
    columns : tuple of Column
    rows : tuple of TableRow
    filters : tuple of FilterField
    searched : bool
        Whether there is a field to search rows by text.
    """

    name: str
    label: str
    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    filters: tuple[FilterField, ...] = ()
    searched: bool = False


def text_table(
    name: str, label: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1
) -> DataTable:
    """Return a table of texts; the first few columns hold words."""
    columns = tuple(Column(head, words=k < words) for k, head in enumerate(heads))
    return DataTable(
        name, label, columns, tuple(TableRow(tuple(map(Cell, cells))) for cells in rows)
    )
