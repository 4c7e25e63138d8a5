"""Transactions that leave nothing behind: rolled back always, and closed to writes where it can be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

from django.db import connections, transaction

from whizbang.exceptions import WhizbangError

T = TypeVar("T")
_COMMENTS = re.compile(r"\A(?:\s+|--[^\n]*\n|/\*.*?\*/|\()+", re.DOTALL)
# What reads, or only concerns the session. PostgreSQL's WITH may write: its READ ONLY refuses that.
_HARMLESS = frozenset(
    "SELECT WITH VALUES TABLE SHOW EXPLAIN DESCRIBE PRAGMA SET SAVEPOINT RELEASE ROLLBACK BEGIN "
    "DECLARE FETCH CLOSE".split()
)


class WriteRefused(WhizbangError):
    """Code wrote to a database where nothing may be written; the statement was not run."""


@contextmanager
def rolled_back(using: str) -> Iterator[None]:
    """A transaction, or a savepoint of one, that is undone; its on_commit callbacks never run."""
    with transaction.atomic(using=using):
        try:
            yield
        finally:
            transaction.set_rollback(True, using=using)


@contextmanager
def read_only(using: str, first: Callable[[], T], *, is_snapshot: bool = False) -> Iterator[T]:
    """A transaction that is rolled back, in which a statement that writes raises `WriteRefused`.

    Gives the result of `first`, which may take locks before it becomes read only. `is_snapshot`: all reads
    see the database of one moment, unless a transaction is open already. On other aliases writes are
    refused too.
    """
    connection: Any = connections[using]
    with ExitStack() as stack:
        _prepare(connection, stack, is_snapshot=is_snapshot)
        stack.enter_context(rolled_back(using))
        if is_snapshot and connection.vendor == "postgresql" and not connection.savepoint_ids:
            _run(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        found = first()
        _close(connection, stack)
        for alias in connections:
            stack.enter_context(connections[alias].execute_wrapper(_refuse_writes))
        yield found


def _prepare(connection: Any, stack: ExitStack, *, is_snapshot: bool) -> None:
    """What has to be said before a transaction begins."""
    if connection.in_atomic_block:
        return
    if connection.vendor == "sqlite":
        # A reader: IMMEDIATE would keep every writer out for as long as it takes.
        before, connection.transaction_mode = connection.transaction_mode, "DEFERRED"
        stack.callback(setattr, connection, "transaction_mode", before)
    elif connection.vendor == "mysql" and is_snapshot:
        _run(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _close(connection: Any, stack: ExitStack) -> None:
    """Let the database itself refuse writes. MariaDB cannot, once it has a lock for us."""
    if connection.vendor == "postgresql":
        _run(connection, "SET TRANSACTION READ ONLY")  # ends with the savepoint, if it is one
    elif connection.vendor == "sqlite":
        _run(connection, "PRAGMA query_only = ON")
        stack.callback(_run, connection, "PRAGMA query_only = OFF")


def _run(connection: Any, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _refuse_writes(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    text = str(sql)
    words = _COMMENTS.sub("", text).split(None, 1)
    if not words or words[0].upper().rstrip(";") not in _HARMLESS:
        raise WriteRefused(
            f"A dry run writes nothing, but the code under it runs: {text[:200]}. Keep writes out of "
            "prefetch() and of the methods of a ModelProjection."
        )
    return execute(sql, params, many, context)
