"""Sessions of psycopg's own, to write to the log step by step."""

from __future__ import annotations

from typing import Any

from django.db import connection

from whizbang.drivers.stores.base import LogTail, StoredRow

INSERT = """
    INSERT INTO whizbang_event
        (stream, version, type, schema, slice, payload, metadata, occurred_at, recorded_at)
    VALUES (%s, 1, 't', 1, 0, '{}', '{}', now(), clock_timestamp()) RETURNING position
"""


def connect() -> Any:
    import psycopg

    database = connection.settings_dict
    return psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        password=database["PASSWORD"],
        dbname=database["NAME"],
    )


def write(writer: Any, stream: str) -> int:
    """One event in the writer's open transaction; gives its position."""
    return int(writer.execute(INSERT, [stream]).fetchone()[0])


def make_tail(after: int) -> LogTail:
    from whizbang.drivers.stores.postgres import PostgresStore

    return PostgresStore(using="default").tail(after=after)


def positions(rows: list[StoredRow]) -> list[int]:
    return [row.position for row in rows]
