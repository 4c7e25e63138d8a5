"""The shop as four services: orders, inventory, payments and shipping, each a process with a database of its own.

`python projects/example/services.py` imports real orders into the first one and shows how they reach the others over
RabbitMQ if one answers, else Redis, else a database that all of them reach.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("orders", "inventory", "payments", "shipping")
_PORTS = {"rabbitmq": 5672, "redis": 6379}
_LOOK_SECONDS = 1.0
_STOP_SECONDS = 30.0
_UNPAID_SECONDS = "30"  # soon enough to be seen, and late enough for orders that are on their way
_COUNT = """
from whizbang.models import StoredEvent
from django.db.models import Count
print(*(f"{row['type']}={row['n']}" for row in StoredEvent.objects.values("type").annotate(n=Count("pk"))))
"""


def find_broker() -> str:
    """The best of the brokers that answer on this machine."""
    return next((name for name, port in _PORTS.items() if _answers(port)), "database")


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def environment_of(service: str, shared: Mapping[str, str]) -> dict[str, str]:
    """What a process needs to be one of the services; `shared` is the same for all of them."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "projects.example.settings",
        "PYTHONUNBUFFERED": "1",
        **shared,
        "EXAMPLE_SERVICE": service,
    }


def manage(service: str, shared: Mapping[str, str], *arguments: str) -> str:
    """Run a command as a service; gives what it printed. Raises CalledProcessError."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment_of(service, shared),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def create_databases(
    shared: Mapping[str, str], *, templates: Mapping[str, str] | None = None
) -> None:
    """On PostgreSQL; files of SQLite are made by whoever opens them. `templates`: as copies of those."""
    sources = _server_databases(templates) if templates else [None] * len(SERVICES)
    for name, source in zip(_server_databases(shared), sources, strict=False):
        if not _ask_server(shared, "SELECT 1 FROM pg_database WHERE datname = %s", name):
            template = f' TEMPLATE "{source}"' if source else ""
            _ask_server(shared, f'CREATE DATABASE "{name}"{template}')


def drop_databases(shared: Mapping[str, str]) -> None:
    for name in _server_databases(shared):
        _ask_server(shared, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _server_databases(shared: Mapping[str, str]) -> list[str]:
    if shared["EXAMPLE_DATABASE"] != "postgres":
        return []
    prefix = shared.get("EXAMPLE_DATABASE_PREFIX", "whizbang")
    return [f"{prefix}_example_{service}" for service in SERVICES]


def _ask_server(shared: Mapping[str, str], statement: str, *values: str) -> list[Any]:
    import psycopg

    host = shared.get("PGHOST") or os.environ.get("PGHOST", "127.0.0.1")
    user = os.environ.get("PGUSER", "postgres")
    with psycopg.connect(host=host, user=user, dbname="postgres", autocommit=True) as connection:
        cursor = connection.execute(statement.encode(), values or None)
        return cursor.fetchall() if cursor.description else []


def migrate(shared: Mapping[str, str]) -> None:
    for service in SERVICES:
        manage(service, shared, "migrate", "--skip-checks", "--verbosity", "0")
    if shared["EXAMPLE_BROKER"] == "database":
        migrate_broker(shared)


def migrate_broker(shared: Mapping[str, str]) -> None:
    """The database that all services reach, where it is the broker."""
    alias = ("--database", "broker")
    manage(SERVICES[0], shared, "migrate", "--skip-checks", "--verbosity", "0", *alias)


def start_worker(service: str, shared: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "whizbang", "worker"],
        cwd=ROOT,
        env=environment_of(service, shared),
        stdout=subprocess.DEVNULL,
    )


@contextmanager
def running(shared: Mapping[str, str]) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """A worker of each service; asked to stop at the end, and waited for."""
    with ExitStack() as stack:
        workers: dict[str, subprocess.Popen[bytes]] = {}
        stack.callback(stop_all, workers)
        for service in SERVICES:
            workers[service] = start_worker(service, shared)
        yield workers


def stop_all(workers: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for worker in workers.values():
        if worker.poll() is None:
            worker.send_signal(signal.SIGTERM)
    for worker in workers.values():
        try:
            worker.wait(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def count_events(service: str, shared: Mapping[str, str]) -> dict[str, int]:
    """How many events of each type a service has in its log, its own and others'."""
    printed = manage(service, shared, "shell", "--no-imports", "--command", _COUNT)
    pairs = (item.partition("=") for item in printed.split() if "=" in item)
    return {name: int(count) for name, _, count in pairs}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--limit", type=int, default=2_000, help="import at most so many orders")
    parser.add_argument(
        "--broker", choices=[*_PORTS, "database"], help="default: the best that answers"
    )
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--var", type=Path, default=ROOT / "projects/example/var/services")
    options = parser.parse_args(arguments)
    shared = {
        "EXAMPLE_BROKER": options.broker or find_broker(),
        "EXAMPLE_DATABASE": options.database,
        "EXAMPLE_VAR": str(options.var),
        "EXAMPLE_BROKER_PREFIX": f"example-{_installation(options.var)}",
        "EXAMPLE_UNPAID_SECONDS": os.environ.get("EXAMPLE_UNPAID_SECONDS", _UNPAID_SECONDS),
    }
    print(f"Four services on {options.database}, messages by {shared['EXAMPLE_BROKER']}.")
    create_databases(shared)
    migrate(shared)
    with running(shared):
        imported = manage(
            "orders", shared, "import_cdnow", "--skip-checks", "--limit", str(options.limit)
        )
        print(imported.strip())
        _show_flow(shared)
        print("What became of the orders")
        print(manage("orders", shared, "outcomes", "--skip-checks"), end="")
    print("All services have stopped.")


def _installation(folder: Path) -> str:
    """A name for these databases, so that queues of others on the same broker are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "installation"
    if not file.exists():
        file.write_text(uuid4().hex[:8])
    return file.read_text()


def _show_flow(shared: Mapping[str, str]) -> None:
    """Until the orders that were placed are shipped or cancelled, and the first service knows it."""
    seen: dict[str, int] = {}
    while _count_ended(seen) < seen.get("orders.OrderPlaced", 1):
        seen = count_events("orders", shared)
        told = {name: n for name, n in sorted(seen.items()) if not name.startswith("whizbang.")}
        print("  ".join(f"{name.partition('.')[2]} {count:,}" for name, count in told.items()))
        time.sleep(_LOOK_SECONDS)


def _count_ended(seen: Mapping[str, int]) -> int:
    return seen.get("shipping.OrderShipped", 0) + seen.get("orders.OrderCancelled", 0)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    try:
        main()
    except KeyboardInterrupt:
        print("\nStopped. What is done is kept; run it again to go on.")
        sys.exit(130)
