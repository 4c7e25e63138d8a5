"""Scenario 7: readers and checkpoints go on after a restore into a new database, and not behind a wrong log."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection

import whizbang
from tests.shop.messages import OpenOrder
from tests.shop.models import Heard, OrderSummary
from whizbang.models import Partition, StoredEvent, StoreHead, Subscription
from whizbang.subscriptions.engine import Engine

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ("pg_dump", "pg_restore", "psql")

pytestmark = [
    pytest.mark.requires_postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        not all(map(shutil.which, TOOLS)), reason="PostgreSQL's client programs are not installed"
    ),
]
Drain = Callable[..., Any]


def run(*command: object, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment or server_environment(),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def server_environment() -> dict[str, str]:
    database = connection.settings_dict
    return {
        **os.environ,
        "PGHOST": str(database["HOST"]),
        "PGPORT": str(database["PORT"]),
        "PGUSER": str(database["USER"]),
        "PGPASSWORD": str(database["PASSWORD"]),
    }


def open_orders(first: int, last: int) -> None:
    for number in range(first, last):
        whizbang.send(OpenOrder(order_id=str(number)))


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """Dumps the test's database as it is now and restores it under another name."""
    name = f"restored_whizbang_{settings.RUN_ID}"

    def restore() -> str:
        dump = tmp_path / "dump"
        run("pg_dump", "--format=custom", f"--file={dump}", connection.settings_dict["NAME"])
        run("psql", "-q", "-d", "postgres", "-c", f'CREATE DATABASE "{name}"')
        run("pg_restore", "--exit-on-error", "-d", name, dump)
        return name

    yield restore
    run("psql", "-q", "-d", "postgres", "-c", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def query(name: str, sql: str) -> list[str]:
    return run("psql", "-At", "-d", name, "-c", sql).split()


def test_subscriptions_go_on_where_they_were(
    restored: Callable[[], str], child_environment: dict[str, str], drain: Drain
) -> None:
    open_orders(0, 20)
    drain()
    open_orders(20, 40)  # in the log, and in no read model yet
    last_position = StoredEvent.objects.latest("position").position
    name = restored()
    environment = {**child_environment, "WHIZBANG_TEST_DB_NAME": name}
    more = "import django; django.setup(); from tests.scenarios.test_dump_and_restore import *; "
    run(sys.executable, "-c", more + "open_orders(40, 50)", environment=environment)
    run(sys.executable, "manage.py", "whizbang", "worker", "--until-idle", environment=environment)
    assert query(name, "SELECT count(*) FROM shop_ordersummary WHERE status = 'open'") == ["50"]
    heard = Counter(
        query(name, "SELECT substr(text, 8) FROM shop_heard WHERE text LIKE 'opened %'")
    )
    assert heard == Counter(map(str, range(50))), "a subscriber was called twice or not at all"
    new = query(name, f"SELECT count(*) FROM whizbang_event WHERE position > {last_position}")
    assert new == ["10"], "positions were given out again"


def test_checkpoint_of_another_store_stops(drain: Drain) -> None:
    """The store's identity is new, as after a start with an empty log: positions mean nothing in it."""
    open_orders(0, 3)
    drain()
    StoreHead.objects.update(store_id=uuid4())
    open_orders(3, 5)
    run_engine()
    assert OrderSummary.objects.count() == 3
    assert "another store" in Subscription.objects.get(name="shop.OrderSummaries").error


def test_checkpoint_beyond_the_end_of_the_log_stops(drain: Drain) -> None:
    """An older backup of the log under newer checkpoints: its next events would be skipped in silence."""
    open_orders(0, 3)
    drain()
    Partition.objects.filter(subscription="shop.OrderSummaries").update(position=10**9)
    open_orders(3, 5)
    run_engine()
    row = Subscription.objects.get(name="shop.OrderSummaries")
    assert OrderSummary.objects.count() == 3
    assert "beyond the end" in row.error
    assert Heard.objects.filter(text="opened 4").exists(), "the others go on"


def run_engine() -> None:
    engine = Engine(whizbang.event_store(), "worker")
    while engine.run_once():
        continue
    engine.close()
