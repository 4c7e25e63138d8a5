"""What a dry run tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import WhizbangError
from whizbang.messages.metadata import Metadata
from whizbang.operations.findings import Finding, Report

_MOST_SET_ASIDE = 10_000  # streams


@dataclass(frozen=True, slots=True)
class Sample:
    """One row that would become another: made, changed or removed; fields as they are and would be."""

    key: str
    change: str
    fields: dict[str, tuple[str, str]]


@dataclass(slots=True, kw_only=True)
class DryRun:
    """What was looked at, and what would change.

    `is_compared`: all of history was folded from nothing and compared with all live rows; else events
    were applied on top of the live rows. `events_set_aside` stand behind a failing one of their stream.
    Statements and rows by table, messages and events by type are told of what is not a ModelProjection.
    """

    subscription: str
    is_compared: bool = False
    until: int = 0
    events: int = 0
    events_set_aside: int = 0
    rows_made: int = 0
    rows_changed: int = 0
    rows_removed: int = 0
    rows_same: int = 0
    samples: list[Sample] = field(default_factory=list)
    failures: list[Finding] = field(default_factory=list)
    failed: int = 0
    statements: dict[str, int] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    messages: dict[str, int] = field(default_factory=dict)
    recorded: dict[str, int] = field(default_factory=dict)


class FailingEvents:
    """What failed, and the streams that are set aside for it, in bounded memory."""

    def __init__(self) -> None:
        self._report = Report()
        self._set_aside: dict[str, int] = {}  # stream -> position
        self.left_out = 0

    def add(self, row: StoredRow | Metadata, error: Exception) -> None:
        if len(self._set_aside) >= _MOST_SET_ASIDE:
            raise WhizbangError(
                f"Events of more than {_MOST_SET_ASIDE} streams fail, the last with {error}: try fewer."
            ) from error
        self._set_aside[row.stream] = row.position
        schema = row.schema if isinstance(row, StoredRow) else 0
        place = StoredRow(row.position, row.stream, row.version, row.type, schema, *_NOTHING)
        self._report.add(type(error).__name__, place, error)

    def is_wanted(self, place: StoredRow | Metadata) -> bool:
        """False behind a failing event of its stream."""
        if place.stream not in self._set_aside:
            return True
        self.left_out += place.position != self._set_aside[place.stream]
        return False

    def tell(self, result: DryRun) -> None:
        for finding in self._report.findings:
            finding.schema = finding.schema or None  # of an event that was read it is unknown here
        result.failures, result.failed = self._report.findings, self._report.problems
        result.events_set_aside = self.left_out


_NOTHING: tuple[Any, ...] = (b"", b"", None, None)
