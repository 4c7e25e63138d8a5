"""Reads the CDNOW orders: real purchases of 1997 and 1998, one a line.

A line has customer id, date (YYYYMMDD), number of CDs and value in US dollars; a header comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_HEADER = b"customer_id"
_COLUMNS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """One line of the file: an order of its own, even where it repeats another letter for letter."""

    line_number: int
    customer_id: str
    day: date
    cds: int
    value: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLine:
    line_number: int
    reason: str


def find_file() -> Path:
    """The file inside the installed package `lifetimes`, which is not imported.

    Raises FileNotFoundError, which says how to get it.
    """
    try:
        path = Path(
            str(distribution("lifetimes").locate_file("lifetimes/datasets/CDNOW_master.txt"))
        )
    except PackageNotFoundError:
        path = Path("CDNOW_master.txt")
    if not path.is_file():
        raise FileNotFoundError(
            "The CDNOW orders are not installed: run "
            "`pip install --no-deps -r requirements/demo-data.txt`, or give a file of your own."
        )
    return path


def read_lines(path: Path, *, limit: int | None = None) -> Iterator[Purchase | BadLine]:
    """The file's orders in its order, at most `limit`; numbers count lines from 1, the header too."""
    count = 0
    with path.open("rb") as file:
        for line_number, line in enumerate(file, start=1):
            if not line.strip() or (line_number == 1 and line.split()[0] == _HEADER):
                continue
            if limit is not None and count >= limit:
                return
            count += 1
            yield read_line(line_number, line)


def count_lines(path: Path, *, limit: int | None = None) -> int:
    """How many orders `read_lines` gives."""
    with path.open("rb") as file:
        lines: Iterable[bytes] = (line for line in file if line.strip())
        count = sum(1 for index, line in enumerate(lines) if index or line.split()[0] != _HEADER)
    return count if limit is None else min(count, limit)


def read_line(line_number: int, line: bytes) -> Purchase | BadLine:
    try:
        customer_id, day, cds, value = _split(line)
        return Purchase(
            line_number=line_number,
            customer_id=customer_id,
            day=_read_day(day),
            cds=_read_count(cds),
            value=_read_value(value),
        )
    except ValueError as error:
        return BadLine(line_number=line_number, reason=str(error))


def _split(line: bytes) -> list[str]:
    try:
        columns = line.decode().split()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    if len(columns) != _COLUMNS:
        raise ValueError(f"it has {len(columns)} columns instead of {_COLUMNS}")
    return columns


def _read_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a date (YYYYMMDD)") from None


def _read_count(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a whole number of CDs") from None


def _read_value(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount of money") from None
