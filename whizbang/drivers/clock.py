"""The database's clock, without asking it for every message."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from django.db import connections
from django.utils import timezone

_ASK_AGAIN_SECONDS = 60.0
_STATEMENTS = {
    "postgresql": "SELECT clock_timestamp()",
    "mysql": "SELECT UTC_TIMESTAMP(6)",
    "microsoft": "SELECT SYSUTCDATETIME()",
}
_offsets: dict[str, tuple[float, timedelta]] = {}


def database_now(using: str) -> datetime:
    """The time on the database's clock, by an offset that is measured once a minute."""
    known = _offsets.get(using)
    if known is None or time.monotonic() - known[0] > _ASK_AGAIN_SECONDS:
        known = _offsets[using] = (time.monotonic(), _measure(using))
    return datetime.now(UTC) + known[1]


def _measure(using: str) -> timedelta:
    connection = connections[using]
    if connection.vendor == "sqlite":
        return timedelta()  # the database runs in this process
    with connection.cursor() as cursor:
        cursor.execute(_STATEMENTS.get(connection.vendor, "SELECT CURRENT_TIMESTAMP"))
        value = cursor.fetchone()[0]
    if timezone.is_naive(value):
        value = value.replace(tzinfo=UTC)
    return value - datetime.now(UTC)  # type: ignore[no-any-return]
