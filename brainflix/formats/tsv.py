"""Tab-separated tables of BIDS, read without pandas because workflows list studies often."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from brainflix.errors import StudyError

MISSING = ("", "n/a", "N/A", "nan", "NaN")


@dataclass(frozen=True)
class Table:
    """A table as text.

    Parameters
    ----------
    path : Path
        Where it was read.
    columns : tuple of str
        The header.
    rows : tuple of dict of str to str
        The cells by column; missing ones are empty.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[dict[str, str], ...]

    def number(self, row: int, column: str, default: float | None = None) -> float | None:
        """Return a cell as a number, ``default`` when the cell or the column is missing.

        Raises
        ------
        StudyError
            When the cell is not a finite number.
        """
        text = self.rows[row].get(column, "")
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise StudyError(
                f"the column {column} holds no number",
                expected="a number or n/a",
                found=text,
                where=self.line(row),
            )
        return value

    def line(self, row: int) -> str:
        """Return the place of a row, for messages."""
        return f"{self.path}, line {row + 2}"


def read_table(path: Path, required: tuple[str, ...] = ()) -> Table:
    """Read a tab-separated table.

    Raises
    ------
    StudyError
        When the file is missing, not text, ragged, or lacks a required column.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            lines = [line for line in csv.reader(stream, delimiter="\t", strict=True) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StudyError("the table cannot be read", found=str(error), where=path) from error
    if not lines:
        raise StudyError("the table is empty", expected="a header line", where=path)
    columns = tuple(name.strip() for name in lines[0])
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise StudyError(
            "the table has a column twice",
            expected="columns of different names",
            found=", ".join(twice),
            where=path,
        )
    lacking = [name for name in required if name not in columns]
    if lacking:
        raise StudyError(
            f"the table lacks {', '.join(lacking)}",
            expected=", ".join(required),
            found=", ".join(columns),
            where=path,
            remedy="columns are separated by tabs",
        )
    rows = []
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(columns):
            raise StudyError(
                "a line of the table has another number of cells",
                expected=len(columns),
                found=len(cells),
                where=f"{path}, line {number}",
                remedy="cells are separated by one tab each; a missing value is n/a",
            )
        if any("\n" in cell or "\r" in cell for cell in cells):
            raise StudyError(
                "a cell of the table runs over the end of its line",
                expected="no quotation mark, or one at its beginning and one at its end",
                found=next(cell for cell in cells if "\n" in cell or "\r" in cell)[:80],
                where=f"{path}, line {number}",
                remedy="close the quotation mark, or remove it",
            )
        values = (cell.strip() for cell in cells)
        rows.append({k: "" if v in MISSING else v for k, v in zip(columns, values, strict=True)})
    return Table(path, columns, tuple(rows))
