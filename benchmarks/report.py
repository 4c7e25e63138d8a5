"""What a benchmark found, as a table for people or as one JSON object for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby

Cell = str | int | float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """A figure to reach. `value` is None where it could not be measured; then it is not met."""

    name: str
    value: float | None
    goal: str
    met: bool


def at_least(name: str, value: float | None, limit: float, unit: str = "") -> Goal:
    met = value is not None and value >= limit
    return Goal(name=name, value=_rounded(value), goal=f">= {limit:g}{unit}", met=met)


def at_most(name: str, value: float | None, limit: float, unit: str = "") -> Goal:
    met = value is not None and value <= limit
    return Goal(name=name, value=_rounded(value), goal=f"<= {limit:g}{unit}", met=met)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One row of a table; `values` are its columns, with the unit in each name."""

    table: str
    name: str
    values: dict[str, Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """`notes` say what was left out or cut short, and why."""

    benchmark: str
    machine: dict[str, Cell]
    figures: Sequence[Figure]
    goals: Sequence[Goal]
    notes: Sequence[str] = field(default=())

    def as_json(self) -> str:
        return json.dumps(asdict(self), indent=2)

    def as_text(self) -> str:
        machine = ", ".join(f"{name} {value}" for name, value in self.machine.items())
        tables = [
            _table([table, *_columns(rows)], _cells(rows))
            for table, rows in _by_table(self.figures)
        ]
        goals = _table(
            ["goal", "value", "wanted", "met"],
            [[g.name, _shown(g.value), g.goal, "yes" if g.met else "NO"] for g in self.goals],
        )
        notes = "\n".join(f"Note: {note}" for note in self.notes)
        return "\n\n".join(filter(None, [f"{self.benchmark}: {machine}", *tables, goals, notes]))


def _by_table(figures: Sequence[Figure]) -> Iterable[tuple[str, list[Figure]]]:
    for table, rows in groupby(figures, key=lambda figure: figure.table):
        yield table, list(rows)


def _columns(rows: Sequence[Figure]) -> list[str]:
    return list(dict.fromkeys(column for row in rows for column in row.values))


def _cells(rows: Sequence[Figure]) -> list[list[str]]:
    columns = _columns(rows)
    return [[row.name, *(_shown(row.values.get(column)) for column in columns)] for row in rows]


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned so that a terminal shows it well: text left, figures right."""
    titles = [header[0], *(column.replace("_", " ") for column in header[1:])]
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    rule = [f"{'-' * widths[0]}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join(_line(cells, widths) for cells in [titles, rule, *rows])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    others = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"| {' | '.join([first, *others])} |"


def _shown(value: Cell) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
