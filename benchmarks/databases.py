"""Throw-away databases: made for one run and dropped after it, whatever happens in between.

PostgreSQL is found as libpq finds it (PGHOST, PGPORT, PGUSER, PGPASSWORD), on 127.0.0.1:5432 as
postgres where these do not say otherwise; the role needs CREATEDB.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql

SQLITE_PRAGMAS = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"

VENDORS = ("sqlite", "postgresql")


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """`settings` is the entry for Django's DATABASES."""

    vendor: str
    version: str
    settings: dict[str, Any]


def make(vendor: str) -> AbstractContextManager[Database]:
    return {"sqlite": make_sqlite, "postgresql": make_postgresql}[vendor]()


def is_available(vendor: str) -> bool:
    """SQLite always is; PostgreSQL when its server answers."""
    if vendor == "sqlite":
        return True
    try:
        psycopg.connect(**_server(), dbname="postgres", connect_timeout=3).close()
    except psycopg.OperationalError:
        return False
    return True


def note_absent() -> list[str]:
    """For a report: the databases that were left out, and why."""
    return [
        f"{vendor} does not answer, so it was left out and its goals count as not met"
        for vendor in VENDORS
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


def _server() -> dict[str, Any]:
    return {
        "host": os.environ.get("PGHOST", "127.0.0.1"),
        "port": os.environ.get("PGPORT", "5432"),
        "user": os.environ.get("PGUSER", "postgres"),
        "password": os.environ.get("PGPASSWORD", ""),
    }
