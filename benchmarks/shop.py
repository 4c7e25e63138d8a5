"""The example shop on a throw-away database, with or without a worker process beside this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import django
from django.core.management import call_command

from benchmarks.databases import Database

PROJECT = Path(__file__).resolve().parent.parent
START_POLL_SECONDS = 0.05
STOP_SECONDS = 30.0
UNUSED_BY_SALES = "orders.OrderProgress"


@contextmanager
def set_up(
    database: Database, *, is_whole_flow: bool, process: str = "choreography"
) -> Iterator[None]:
    """Configure this process by the example's own settings, and make the tables. Once a process.

    Without the whole flow, nobody reacts to an order but the two sales projections (and the
    library's own catalogue of streams): the other domains belong to no one here, and the projection
    that follows an order through them is paused.
    """
    with tempfile.TemporaryDirectory(prefix="whizbang-benchmark-shop-") as folder:
        os.environ.update(_environment(database, folder))
        os.environ["EXAMPLE_PROCESS"] = process if is_whole_flow else "none"
        if not is_whole_flow:
            os.environ["EXAMPLE_OWNS"] = "orders"
        django.setup()
        call_command("migrate", verbosity=0, skip_checks=True)
        if not is_whole_flow:
            _pause(UNUSED_BY_SALES)
        yield


def _environment(database: Database, folder: str) -> dict[str, str]:
    common = {
        "DJANGO_SETTINGS_MODULE": "projects.example.settings",
        "EXAMPLE_SECRET_KEY": "for benchmarks only",
        "EXAMPLE_VAR": folder,
        "EXAMPLE_FAILURES": "none",
    }
    if database.vendor == "sqlite":
        return {**common, "EXAMPLE_DATABASE": "sqlite"}
    return {
        **common,
        "EXAMPLE_DATABASE": "postgres",
        "PGDATABASE": database.settings["NAME"],
        "PGHOST": database.settings["HOST"],
        "PGPORT": database.settings["PORT"],
        "PGUSER": database.settings["USER"],
        "PGPASSWORD": database.settings["PASSWORD"],
    }


def _pause(name: str) -> None:
    from whizbang.models import Subscription

    rows = Subscription.objects.filter(name=name)
    if rows.update(status=Subscription.Status.PAUSED) != 1:
        raise LookupError(f"The example has no subscription {name!r} to pause.")


class WorkerProcess:
    """`manage.py whizbang worker`; use it as a context manager, which waits until it is at work."""

    def __init__(self) -> None:
        self._output = tempfile.TemporaryFile("w+")
        command = [sys.executable, "manage.py", "whizbang", "--skip-checks", "worker"]
        self._process = subprocess.Popen(
            command, cwd=PROJECT, stdout=self._output, stderr=subprocess.STDOUT
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def check(self) -> None:
        """Raise what it has printed if it has ended by itself."""
        if self._process.poll() is not None:
            self._output.seek(0)
            raise RuntimeError(f"The worker ended by itself:\n{self._output.read()}")

    def __enter__(self) -> Self:
        from whizbang.models import Lease

        while not Lease.objects.exclude(owner="").exists():
            self.check()
            time.sleep(START_POLL_SECONDS)
        return self

    def __exit__(self, *error: object) -> None:
        """Stop it as an operator would."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()
