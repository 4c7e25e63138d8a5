"""A whole history from PostgreSQL: the server makes the next page while Python works on this one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper
from psycopg.pq import Format

from whizbang.drivers.stores.base import RawRow


def read_pipelined(
    connection: BaseDatabaseWrapper,
    sql: str,
    params: Sequence[Any],
    *,
    after: int,
    page_rows: int,
    adapt: Any,
) -> Generator[list[RawRow], None, None]:
    """Pages of a statement whose first parameter is the position to go on from, and whose last is a LIMIT.

    `connection` is one of its own, closed at the end: in libpq's pipeline mode the statement for the next
    page is sent before this one is given out, and its answer waits in the socket. A thread that reads ahead
    waits for the interpreter's lock instead, and was no quicker.
    """
    try:
        connection.ensure_connection()
        raw: Any = connection.connection
        with connection.wrap_database_errors, raw.pipeline(), psycopg.Cursor(raw) as cursor:
            cursor.format = Format.BINARY
            adapt(cursor)
            text = sql.encode()
            cursor.execute(text, [after, *params, page_rows])
            while True:
                rows = cursor.fetchall()
                is_last = len(rows) < page_rows
                if not is_last:
                    cursor.execute(text, [rows[-1][0], *params, page_rows])
                if rows:
                    yield rows
                if is_last:
                    return
    finally:
        connection.close()


def can_pipeline(connection: BaseDatabaseWrapper) -> bool:
    """Not before libpq 14, and not inside a transaction, whose own events only its connection sees."""
    return psycopg.Pipeline.is_supported() and not connection.in_atomic_block
