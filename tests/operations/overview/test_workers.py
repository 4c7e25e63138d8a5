"""Workers tell that they are there, and are listed with what they hold."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError
from django.db.models.functions import Now
from django.utils import timezone

import whizbang
from tests.processes import wait_until
from whizbang.conf import settings
from whizbang.models import Lease, WorkerProcess
from whizbang.operations.overview.presence import Presence
from whizbang.operations.overview.workers import list_leases, list_workers
from whizbang.operations.worker import Worker


def presence(name: str = "one", state: str = "ok") -> Presence:
    return Presence(name, using="default", parts=["commands", "events"], state=lambda: state)


@pytest.mark.django_db
class TestPresence:
    def test_row_tells_where_and_what(self) -> None:
        presence().tell()
        found = list_workers()[0]
        assert (found.name, found.service, found.state) == ("one", settings.SERVICE, "ok")
        assert found.parts == ("commands", "events")
        assert found.code_version == whizbang.__version__
        assert not found.is_gone and found.seen_seconds < 5

    def test_row_is_written_again_when_it_is_time(self) -> None:
        teller = presence()
        teller.tell()
        old = timezone.now() - timedelta(hours=1)
        WorkerProcess.objects.update(seen_at=old, started_at=old)
        teller.tell()
        assert list_workers()[0].is_gone
        teller._next_at = 0.0
        teller.tell()
        found = list_workers()[0]
        assert not found.is_gone and found.started_at == old

    def test_database_that_is_away_stops_nobody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*args: Any) -> None:
            raise DatabaseError("away")

        monkeypatch.setattr(Presence, "_write", fail)
        presence().tell()

    def test_worker_that_ends_in_order_is_not_listed(self) -> None:
        seen: list[str] = []
        worker = Worker(name="short")
        whole = worker.run_once

        def look(**options: Any) -> int:
            if seen or WorkerProcess.objects.exists():
                seen.extend(entry.name for entry in list_workers())
                worker.stop()
            return whole(**options)

        worker.run_once = look  # type: ignore[method-assign]
        worker.run(max_seconds=10)
        assert "short" in seen  # it tells behind its first turn
        assert not list_workers()


@pytest.mark.django_db(transaction=True)
def test_thread_tells_while_the_loop_is_busy_and_keeps_no_connection() -> None:
    teller = Presence(
        "one", using="default", parts=["events"], state=lambda: "stuck", tell_seconds=0.02
    )
    teller.start()
    wait_until(lambda: WorkerProcess.objects.exists())
    assert list_workers()[0].state == "stuck"
    teller.stop()
    assert not WorkerProcess.objects.exists()


def test_thread_leaves_it_to_a_loop_that_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(Presence, "_write", lambda self: told.append("told"))
    teller = Presence("one", using="default", parts=[], state=lambda: "ok", tell_seconds=0.001)
    teller._next_at = time.monotonic() + 60  # the loop has just told
    teller.start()
    time.sleep(0.03)
    teller._is_over.set()
    assert teller._thread is not None
    teller._thread.join()
    assert not told


@pytest.mark.django_db
class TestLists:
    def test_worker_that_was_not_seen_for_a_lease_is_gone(self) -> None:
        presence().tell()
        late = timezone.now() - timedelta(seconds=settings.LEASE_SECONDS + 2)
        WorkerProcess.objects.update(seen_at=late)
        assert list_workers()[0].is_gone

    def test_leases_tell_who_may_run_what_until_when(self) -> None:
        Lease.objects.create(
            name="a", owner="one", epoch=3, expires_at=Now() + timedelta(minutes=1)
        )
        Lease.objects.create(name="b", owner="two", expires_at=Now() - timedelta(minutes=1))
        Lease.objects.create(name="c")
        found = list_leases()
        assert [(lease.name, lease.owner, lease.is_expired) for lease in found] == [
            ("a", "one", False),
            ("b", "two", True),
        ]
        assert found[0].epoch == 3

    def test_command_lists_both(self) -> None:
        out = StringIO()
        call_command("whizbang", "workers", stdout=out)
        assert "No worker was seen" in out.getvalue()
        presence().tell()
        Lease.objects.create(name="a", owner="one", expires_at=Now() + timedelta(minutes=1))
        out = StringIO()
        call_command("whizbang", "workers", stdout=out)
        assert "one" in out.getvalue() and "lease a" in out.getvalue()
        out = StringIO()
        call_command("whizbang", "workers", "--json", stdout=out)
        found = json.loads(out.getvalue())
        assert found["workers"][0]["name"] == "one"
        assert found["leases"][0]["owner"] == "one"
