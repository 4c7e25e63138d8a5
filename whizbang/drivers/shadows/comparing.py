"""How the rows of two tables differ, by statements that run in the database."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db.models import Field

from whizbang.drivers.rows import rows_of
from whizbang.drivers.rows.columns import columns_of, fills_itself

if TYPE_CHECKING:
    from whizbang.drivers.shadows.base import Shadow

_MOST_TEXT = 200  # characters of a value that a sample keeps


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One key whose rows differ; a side is None where it has no row. Only differing columns are told."""

    key: str
    live: dict[str, str | None] | None
    new: dict[str, str | None] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Numbers of rows: in each table, only there, and in both but different; with samples."""

    live_rows: int
    new_rows: int
    only_live: int
    only_new: int
    differing: int
    samples: list[Sample] = field(default_factory=list)

    @property
    def is_none(self) -> bool:
        return not (self.only_live or self.only_new or self.differing)


def compare_tables(shadow: Shadow, *, most_samples: int) -> Difference:
    """Columns that are filled with the time of writing, or by the database, are left out."""
    counts = {name: _count(shadow, sql) for name, sql in _statements(shadow).items()}
    samples = _samples(shadow, most_samples) if most_samples else []
    return Difference(**counts, samples=samples)


def compared_columns(shadow: Shadow) -> list[Field[Any, Any]]:
    """What two rows with one key can differ in."""
    return [
        column
        for column in columns_of(shadow.model)
        if column is not shadow.key
        and not column.primary_key
        and not getattr(column, "generated", False)
        and not fills_itself(column)
    ]


def differing_condition(shadow: Shadow, left: str, right: str) -> str:
    """SQL that is true when two rows differ, null or not."""
    quote, vendor = shadow.connection.ops.quote_name, shadow.connection.vendor
    pairs = [
        (f"{left}.{quote(c.column)}", f"{right}.{quote(c.column)}")
        for c in compared_columns(shadow)
    ]
    if vendor == "mysql":
        # BINARY: a collation that ignores case or trailing blanks would call two texts the same.
        parts = [f"NOT (BINARY {a} <=> BINARY {b})" for a, b in pairs]
    else:
        operator = "IS NOT" if vendor == "sqlite" else "IS DISTINCT FROM"
        parts = [f"{a} {operator} {b}" for a, b in pairs]
    return " OR ".join(parts) or "1 = 0"


def _statements(shadow: Shadow) -> dict[str, str]:
    live, new = shadow.live, shadow.table
    return {
        "live_rows": f"SELECT count(*) FROM {live}",
        "new_rows": f"SELECT count(*) FROM {new}",
        "only_live": f"SELECT count(*) {_only_in(shadow, live, new)}",
        "only_new": f"SELECT count(*) {_only_in(shadow, new, live)}",
        "differing": f"SELECT count(*) {_different(shadow)}",
    }


def _only_in(shadow: Shadow, here: str, there: str) -> str:
    key = shadow.connection.ops.quote_name(shadow.key.column)
    return f"FROM {here} a WHERE NOT EXISTS (SELECT 1 FROM {there} b WHERE b.{key} = a.{key})"


def _different(shadow: Shadow) -> str:
    key = shadow.connection.ops.quote_name(shadow.key.column)
    return (
        f"FROM {shadow.live} a JOIN {shadow.table} b ON b.{key} = a.{key} "
        f"WHERE {differing_condition(shadow, 'a', 'b')}"
    )


def _count(shadow: Shadow, statement: str) -> int:
    ((count,),) = shadow.fetch(statement)
    return int(count)


def _samples(shadow: Shadow, most: int) -> list[Sample]:
    key = shadow.connection.ops.quote_name(shadow.key.column)
    live, new = shadow.live, shadow.table
    parts = (
        _different(shadow),
        _only_in(shadow, live, new),
        _only_in(shadow, new, live),
    )
    keys: list[Any] = []
    for part in parts:
        left = most - len(keys)
        if left > 0:
            found = shadow.fetch(f"SELECT a.{key} {part} ORDER BY a.{key} LIMIT {left}")
            keys.extend(value for (value,) in found)
    return _describe(shadow, [_clean(shadow, value) for value in keys])


def _clean(shadow: Shadow, value: Any) -> Any:
    """A key as rows carry it; the cursor gives it as the product keeps it."""
    return shadow.key.to_python(value)


def _describe(shadow: Shadow, keys: list[Any]) -> list[Sample]:
    if not keys:
        return []
    using = shadow.connection.alias
    live = rows_of(shadow.model, shadow.key, using).load(keys, is_locked=False)
    new = shadow.rows.load(keys, is_locked=False)
    names = [column.attname for column in compared_columns(shadow)]
    samples = []
    for key in keys:
        pair = live.get(key), new.get(key)
        told = names if None in pair else [n for n in names if _differ(*pair, n)]
        samples.append(
            Sample(key=_text(key) or "", live=_tell(pair[0], told), new=_tell(pair[1], told))
        )
    return samples


def _differ(live: Any, new: Any, name: str) -> bool:
    return bool(getattr(live, name) != getattr(new, name))


def _tell(row: Any, names: list[str]) -> dict[str, str | None] | None:
    return None if row is None else {name: _text(getattr(row, name)) for name in names}


def _text(value: Any) -> str | None:
    if value is None:
        return None
    text = str(value)
    return text if len(text) <= _MOST_TEXT else f"{text[:_MOST_TEXT]}…"
