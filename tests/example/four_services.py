"""The example as services in processes of their own, each with a new database, for one test."""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

from django.conf import settings

from projects.example import services
from projects.example.process import CHOREOGRAPHY
from tests.drivers.brokers.proxy import Proxy, proxy_to
from tests.example.brokers import broker_for_test

TYPES = {
    "orders": "orders.OrderPlaced",
    "inventory": "inventory.InventoryReserved",
    "payments": "payments.PaymentCharged",
    "shipping": "shipping.OrderShipped",
}


class FourServices:
    """Starts workers, sends real orders, and asks what has become of them."""

    def __init__(self, broker: str, folder: Path, process: str) -> None:
        run = f"services-{uuid4().hex[:8]}"
        self.broker = broker
        self.shared = {
            "EXAMPLE_BROKER": broker,
            "EXAMPLE_BROKER_PREFIX": run,
            "EXAMPLE_DATABASE": settings.DATABASE_KIND,
            "EXAMPLE_DATABASE_PREFIX": run.replace("-", "_"),
            "EXAMPLE_VAR": str(folder),
            "EXAMPLE_LEASE_SECONDS": "3",
            "EXAMPLE_PROCESS": process,
            "EXAMPLE_FAILURES": "none",
            "PGHOST": "127.0.0.1",
        }

    @property
    def prefix(self) -> str:
        return self.shared["EXAMPLE_BROKER_PREFIX"]

    def migrate(self) -> None:
        """As each of them at the same time; their tables are alike, what waits to be heard is not."""
        migrating = [
            subprocess.Popen(
                [sys.executable, "manage.py", "migrate", "--skip-checks", "--verbosity", "0"],
                cwd=services.ROOT,
                env=services.environment_of(service, self.shared),
            )
            for service in services.SERVICES
        ]
        assert [process.wait() for process in migrating] == [0] * len(migrating)
        if self.broker == "database":
            services.migrate_broker(self.shared)

    def copy(self, broker: str, folder: Path) -> FourServices:
        """The same with databases and queues of its own."""
        made = FourServices(broker, folder, self.shared["EXAMPLE_PROCESS"])
        for file in Path(self.shared["EXAMPLE_VAR"]).glob("*.sqlite3*"):
            shutil.copy(file, folder)
        services.create_databases(made.shared, templates=self.shared)
        return made

    def import_orders(self, count: int) -> None:
        services.manage(
            "orders", self.shared, "import_cdnow", "--skip-checks", "--limit", str(count)
        )

    def start_worker(
        self, service: str, *, trap: str = "", **environment: str
    ) -> subprocess.Popen[bytes]:
        """With a trap it kills itself there; see odd_service."""
        shared = {**self.shared, **environment}
        if not trap:
            return services.start_worker(service, shared)
        return subprocess.Popen(
            [sys.executable, "-m", "tests.example.odd_service", trap],
            cwd=services.ROOT,
            env=services.environment_of(service, shared),
        )

    @contextmanager
    def running(self, *names: str, **environment: str) -> Iterator[None]:
        """A worker of each of these services."""
        workers = {name: self.start_worker(name, **environment) for name in names}
        try:
            yield
        finally:
            services.stop_all(workers)

    @contextmanager
    def behind_proxy(self) -> Iterator[tuple[Proxy, dict[str, str]]]:
        """What stands before the broker then, and the environment of those who are to go through it."""
        url = urlsplit(self.shared["EXAMPLE_BROKER_URL"])
        assert url.hostname is not None and url.port is not None
        with proxy_to(url.hostname, url.port) as proxy:
            netloc = url.netloc.replace(f":{url.port}", f":{proxy.port}")
            yield proxy, {"EXAMPLE_BROKER_URL": urlunsplit(url._replace(netloc=netloc))}

    def place(self, *, first: int = 0, orders: int) -> None:
        """Commands of shipping to orders, through the outbox; one ordering key, so that they have an order."""
        self.ask("shipping", "tests.example.order_sender", str(first), str(orders))

    def count(self, service: str, domain: str) -> int:
        """How many events of a domain are in a service's log."""
        return int(self.report(service)["events"].get(TYPES[domain], 0))

    def report(self, service: str) -> dict[str, Any]:
        """See service_report."""
        return self.ask(service, "tests.example.service_report")

    def ask(self, service: str, module: str, *arguments: str) -> dict[str, Any]:
        """What a program prints as JSON that runs as one of the services."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=services.ROOT,
            env=services.environment_of(service, self.shared),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return json.loads(done.stdout)  # type: ignore[no-any-return]

    def remove(self) -> None:
        services.drop_databases(self.shared)


@contextmanager
def four_services(
    broker: str, folder: Path, *, process: str = CHOREOGRAPHY, failures: str = "none"
) -> Iterator[FourServices]:
    """With tables; everything is removed at the end."""
    made = _template(process).copy(broker, folder)
    made.shared["EXAMPLE_FAILURES"] = failures
    try:
        with broker_for_test(broker, made.prefix) as url:
            made.shared["EXAMPLE_BROKER_URL"] = url
            yield made
    finally:
        made.remove()


@cache
def _template(process: str) -> FourServices:
    """Migrated once a run of Python, and copied for each test."""
    folder = tempfile.TemporaryDirectory(prefix="whizbang-services-")
    made = FourServices("database", Path(folder.name), process)
    services.create_databases(made.shared)
    made.migrate()
    atexit.register(folder.cleanup)
    atexit.register(services.drop_databases, made.shared)
    return made


def check_nothing_left(found: dict[str, Any], service: str) -> None:
    assert (found["dead"], found["parked"], found["gaps"]) == ([], [], []), service
    assert (found["unhandled"], found["unsent"]) == (0, 0), service
    assert found["sent_twice"] == [], service
