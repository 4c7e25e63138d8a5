"""Limits of a worker's own database sessions."""

from __future__ import annotations

from typing import Any

from django.db import connections

_STATEMENTS = {
    "postgresql": "SET idle_in_transaction_session_timeout = %s",  # milliseconds
    "mysql": "SET SESSION idle_transaction_timeout = %s",  # seconds, MariaDB
}


def limit_idle_transactions(using: str, *, seconds: float) -> None:
    """Let the database end a transaction of this session that does nothing for so long.

    A frozen worker keeps its locks otherwise, and the worker that takes over waits for them for ever.
    SQLite and MySQL have no such limit.
    """
    connection: Any = connections[using]
    statement = _STATEMENTS.get(connection.vendor)
    if connection.vendor == "mysql" and not connection.mysql_is_mariadb:
        return
    if statement is not None:
        value = max(1, int(seconds * 1000 if connection.vendor == "postgresql" else seconds))
        with connection.cursor() as cursor:
            cursor.execute(statement, [value])


def see_one_moment(using: str) -> None:
    """Let all statements of the transaction that begins here see the database as it is now.

    Its first statement, inside `atomic()`. A transaction that is open already, as around a test, stays as it
    is; on SQLite every transaction is so.
    """
    connection: Any = connections[using]
    if connection.vendor in ("postgresql", "mysql") and not connection.savepoint_ids:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
