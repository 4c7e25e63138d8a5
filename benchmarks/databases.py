"""Throw-away databases: made for one run and dropped after it, whatever happens in between.

PostgreSQL is found as libpq finds it (PGHOST, PGPORT, PGUSER, PGPASSWORD), on 127.0.0.1:5432 as
postgres where these do not say otherwise; the role needs CREATEDB. MariaDB is found by MYSQL_HOST,
MYSQL_TCP_PORT, MYSQL_USER and MYSQL_PWD, on 127.0.0.1:3306 as root without a password otherwise.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

SQLITE_PRAGMAS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"

VENDORS = ("sqlite", "postgresql")
STORE_VENDORS = (*VENDORS, "mariadb")  # of the benchmarks of the event store alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """`settings` is the entry for Django's DATABASES."""

    vendor: str
    version: str
    settings: dict[str, Any]


def make(vendor: str) -> AbstractContextManager[Database]:
    makers = {"sqlite": make_sqlite, "postgresql": make_postgresql, "mariadb": make_mariadb}
    return makers[vendor]()


def is_available(vendor: str) -> bool:
    """SQLite always is; the others when their server answers."""
    if vendor == "sqlite":
        return True
    if vendor == "mariadb":
        return _is_mariadb_available()
    try:
        psycopg.connect(**_server(), dbname="postgres", connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def note_absent(vendors: Sequence[str] = VENDORS) -> list[str]:
    """For a report: the databases that were left out, and why."""
    return [
        f"{vendor} does not answer, so it was left out and its goals count as not met"
        for vendor in vendors
        if not is_available(vendor)
    ]


@contextmanager
def make_sqlite() -> Iterator[Database]:
    with tempfile.TemporaryDirectory(prefix="whizbang-benchmark-") as folder:
        yield Database(
            vendor="sqlite",
            version=sqlite3.sqlite_version,
            settings={
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": str(Path(folder) / "benchmark.sqlite3"),
                "OPTIONS": {"transaction_mode": "IMMEDIATE", "init_command": SQLITE_PRAGMAS},
            },
        )


@contextmanager
def make_postgresql() -> Iterator[Database]:
    server, name = _server(), f"whizbang_benchmark_{os.getpid()}_{uuid4().hex[:8]}"
    with psycopg.connect(**server, dbname="postgres", autocommit=True) as connection:
        version = str(connection.info.parameter_status("server_version"))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    try:
        yield Database(
            vendor="postgresql",
            version=version.split()[0],
            settings={
                "ENGINE": "django.db.backends.postgresql",
                "NAME": name,
                "HOST": server["host"],
                "PORT": server["port"],
                "USER": server["user"],
                "PASSWORD": server["password"],
            },
        )
    finally:
        with psycopg.connect(**server, dbname="postgres", autocommit=True) as connection:
            dropping = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(dropping.format(sql.Identifier(name)))


@contextmanager
def make_mariadb() -> Iterator[Database]:
    server, name = _mariadb_server(), f"whizbang_benchmark_{os.getpid()}_{uuid4().hex[:8]}"
    version = _run_on_mariadb("SELECT VERSION()")
    _run_on_mariadb(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    try:
        yield Database(
            vendor="mariadb",
            version=version.partition("-")[0],
            settings={
                "ENGINE": "django.db.backends.mysql",
                "NAME": name,
                "HOST": server["host"],
                "PORT": server["port"],
                "USER": server["user"],
                "PASSWORD": server["password"],
                "OPTIONS": {"init_command": "SET time_zone = '+00:00'"},
            },
        )
    finally:
        _run_on_mariadb(f"DROP DATABASE {name}")


def mysql_driver() -> Any:
    """The module MySQLdb: mysqlclient where it is installed, else PyMySQL under its name."""
    if find_spec("MySQLdb") is None:
        import pymysql

        pymysql.install_as_MySQLdb()
    import MySQLdb

    return MySQLdb


def _is_mariadb_available() -> bool:
    if find_spec("MySQLdb") is None and find_spec("pymysql") is None:
        return False
    try:
        _run_on_mariadb("SELECT 1")
    except mysql_driver().OperationalError:
        return False
    return True


def _run_on_mariadb(statement: str) -> Any:
    """Run a statement outside of any database; gives the first value of its result."""
    connection = mysql_driver().connect(**_mariadb_server(), connect_timeout=3)
    try:
        cursor = connection.cursor()
        cursor.execute(statement)
        row = cursor.fetchone()
        return None if row is None else row[0]
    finally:
        connection.close()


def _mariadb_server() -> dict[str, Any]:
    return {
        "host": os.environ.get("MYSQL_HOST", "127.0.0.1"),
        "port": int(os.environ.get("MYSQL_TCP_PORT", "3306")),
        "user": os.environ.get("MYSQL_USER", "root"),
        "password": os.environ.get("MYSQL_PWD", ""),
    }


def _server() -> dict[str, Any]:
    return {
        "host": os.environ.get("PGHOST", "127.0.0.1"),
        "port": os.environ.get("PGPORT", "5432"),
        "user": os.environ.get("PGUSER", "postgres"),
        "password": os.environ.get("PGPASSWORD", ""),
    }
