"""Rows as plain values, for the console and the command line alike."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

T = TypeVar("T")


def facts_of(kind: type[T], row: Any, **more: Any) -> T:
    """A dataclass filled with the row's attributes of the same names; `more` comes first."""
    names = {field.name for field in fields(kind)} - more.keys()  # type: ignore[arg-type]
    return kind(**{name: getattr(row, name) for name in names}, **more)
