"""What a verification found, in bounded memory however much is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from whizbang.drivers.stores.base import StoredRow

_MOST_KEPT = 1000
_MOST_TEXT = 2000  # characters of one error


@dataclass(slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, how often, and where it was met first."""

    kind: str
    type: str | None  # of events; None where it is not about one type
    schema: int | None
    error: str  # of the first
    stream: str | None
    version: int | None
    position: int | None
    count: int = 1


@dataclass(slots=True, kw_only=True)
class Report:
    """What was looked at, and what is wrong: findings of one kind and type are one entry."""

    events: int = 0
    streams: int = 0
    aggregates: int = 0  # streams that were folded into an aggregate
    seed: int | None = None  # of a sample: the same one looks at the same streams again
    findings: list[Finding] = field(default_factory=list)
    problems: int = 0

    def add(self, kind: str, row: StoredRow, error: object, *, by_type: bool = True) -> None:
        """Count a problem of one event."""
        key = (row.type, row.schema) if by_type else (None, None)
        self._count(kind, *key, error, row.stream, row.version, row.position)

    def add_fact(self, kind: str, error: object, *, stream: str | None = None) -> None:
        """Count a problem of a stream, or of the store."""
        self._count(kind, None, None, error, stream, None, None)

    def _count(self, kind: str, type: str | None, schema: int | None, *place: Any) -> None:
        self.problems += 1
        for known in self.findings:
            if (known.kind, known.type, known.schema) == (kind, type, schema):
                known.count += 1
                return
        if len(self.findings) < _MOST_KEPT:
            error, stream, version, position = place
            self.findings.append(
                Finding(
                    kind=kind,
                    type=type,
                    schema=schema,
                    error=str(error)[:_MOST_TEXT],
                    stream=stream,
                    version=version,
                    position=position,
                )
            )
