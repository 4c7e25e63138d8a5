"""What database errors mean: which of them pass by themselves, and which need somebody."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError, OperationalError, connections

from whizbang.exceptions import NotReady

# Serialization failure, deadlock, lock not available (PostgreSQL's SQLSTATE).
_CONFLICT_STATES = ("40001", "40P01", "55P03")
# MySQL, MariaDB: lock wait timeout, deadlock; a row changed since the transaction's snapshot.
_CONFLICT_CODES = (1205, 1213, 1020)
_MISSING_TABLE_CODES = (1146, 1305)  # MySQL, MariaDB: no such table, no such function
_MISSING_TABLE_STATE = "42P01"  # PostgreSQL


def is_conflict(error: BaseException) -> bool:
    """Did the database end the transaction because of another one?"""
    if not isinstance(error, DatabaseError):
        return False
    return _state_of(error) in _CONFLICT_STATES or _code_of(error) in _CONFLICT_CODES


def is_passing(error: BaseException, *, using: str) -> bool:
    """Will the same work probably succeed later: a conflict, a lock, a connection that is gone?"""
    if is_conflict(error):
        return True
    if not isinstance(error, InterfaceError | OperationalError):
        return False
    if "database is locked" in str(error):  # SQLite has no code for it in every Python
        return True
    return is_lost(using)


def is_lost(using: str) -> bool:
    """Is this thread's connection gone, so that only a new one can go on?"""
    connection = connections[using]
    return connection.connection is None or not connection.is_usable()


def is_missing_table(error: BaseException) -> bool:
    """Does the error say that a table, or a function of ours, is not there?"""
    if not isinstance(error, DatabaseError):
        return False
    return (
        _state_of(error) == _MISSING_TABLE_STATE
        or _code_of(error) in _MISSING_TABLE_CODES
        or "no such table" in str(error)
    )


class naming_missing_tables:  # reads like a function, and costs less than a generator
    """A block that raises `NotReady` for a database without our tables."""

    __slots__ = ("_using",)

    def __init__(self, using: str) -> None:
        self._using = using

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None and is_missing_table(error) and "whizbang_" in str(error):
            raise NotReady(
                f"Database {self._using!r} does not have whizbang's tables: run "
                f"`manage.py migrate --database {self._using}`."
            ) from error


def _state_of(error: DatabaseError) -> str | None:
    return getattr(error.__cause__, "sqlstate", None)


def _code_of(error: DatabaseError) -> object:
    return error.args[0] if error.args else None
