"""The servers that tests use, and whether they answer.

`python -m tests.services postgres` says so by its exit code, for the Makefile.
"""

from __future__ import annotations

import os
import socket
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A server at an address; `variable` is the environment variable that moves it."""

    name: str
    host: str
    port: int
    variable: str

    @property
    def absence(self) -> str:
        return (
            f"{self.name} does not answer at {self.host}:{self.port}: start it, or say where it is"
            f" with {self.variable}"
        )

    def answers(self) -> bool:
        """Whether something listens; a server that then refuses the login is an error, not absent."""
        try:
            socket.create_connection((self.host, self.port), timeout=3).close()
        except OSError:
            return False
        return True


MARIADB = os.environ.get("WHIZBANG_TEST_MARIADB", "127.0.0.1:3306")
MSSQL = os.environ.get("WHIZBANG_TEST_MSSQL", "127.0.0.1:1433")
REDIS_URL = os.environ.get("WHIZBANG_TEST_REDIS", "redis://127.0.0.1:6379/15")
RABBITMQ_URL = os.environ.get("WHIZBANG_TEST_RABBITMQ", "amqp://guest:guest@127.0.0.1:5672/%2F")

SERVICES = {
    "postgres": Service(
        name="PostgreSQL",
        host=os.environ.get("PGHOST", "127.0.0.1"),
        port=int(os.environ.get("PGPORT", "5432")),
        variable="PGHOST and PGPORT",
    ),
    "mariadb": Service(
        name="MariaDB",
        host=MARIADB.partition(":")[0],
        port=int(MARIADB.partition(":")[2] or "3306"),
        variable="WHIZBANG_TEST_MARIADB",
    ),
    "mssql": Service(
        name="SQL Server",
        host=MSSQL.partition(":")[0],
        port=int(MSSQL.partition(":")[2] or "1433"),
        variable="WHIZBANG_TEST_MSSQL",
    ),
    "redis": Service(
        name="Redis",
        host=urlsplit(REDIS_URL).hostname or "127.0.0.1",
        port=urlsplit(REDIS_URL).port or 6379,
        variable="WHIZBANG_TEST_REDIS",
    ),
    "rabbitmq": Service(
        name="RabbitMQ",
        host=urlsplit(RABBITMQ_URL).hostname or "127.0.0.1",
        port=urlsplit(RABBITMQ_URL).port or 5672,
        variable="WHIZBANG_TEST_RABBITMQ",
    ),
}


def must_answer() -> bool:
    """In CI a missing server is a failure; on a developer's machine its tests are skipped."""
    return os.environ.get("CI") == "true"


def main(name: str) -> int:
    if SERVICES[name].answers():
        return 0
    print(f"Skipped: {SERVICES[name].absence}.")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
