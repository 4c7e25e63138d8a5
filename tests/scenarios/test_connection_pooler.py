"""Scenario 6: everything works behind a pooler that gives a server session to each transaction.

PgBouncer is not part of what CI installs: where it is not found these tests are skipped, CI=true or not.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections, transaction

import whizbang
from tests.drivers.stores.rows import append
from tests.shop.messages import OpenOrder
from tests.shop.models import CustomerTotal, OrderSummary
from whizbang.models import InboxMessage, StoredEvent

ROOT = Path(__file__).resolve().parents[2]
PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
WRITERS, APPENDS_OF_EACH = 6, 40

pytestmark = [
    pytest.mark.requires_postgres,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed"),
]

CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}{password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 100
"""


@pytest.fixture
def pooler_port(tmp_path: Path, transactional_db: None) -> Iterator[int]:
    """A pooler of the test's own, with fewer server sessions than the test has clients."""
    database = connection.settings_dict
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    configuration = tmp_path / "pgbouncer.ini"
    configuration.write_text(
        CONFIGURATION.format(
            host=database["HOST"],
            port=database["PORT"],
            user=database["USER"],
            password=f" password={database['PASSWORD']}" if database["PASSWORD"] else "",
            own_port=port,
        )
    )
    command = [str(PGBOUNCER), str(configuration)]
    if os.geteuid() == 0:  # which it refuses to run as
        for folder in (tmp_path, *list(tmp_path.parents)[:2]):
            folder.chmod(0o755)
        command += ["--user=nobody"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        await_listener(port, process)
        yield port
    finally:
        process.terminate()
        process.communicate(timeout=30)


def await_listener(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            ended = process.poll() is not None
            assert not ended and time.monotonic() < deadline, process.communicate()[0]
            time.sleep(0.05)


@pytest.fixture
def pooled(pooler_port: int) -> Iterator[None]:
    """The alias "default" of every thread goes through the pooler."""
    direct = dict(connection.settings_dict)
    connections.close_all()
    changed = {"HOST": "127.0.0.1", "PORT": pooler_port, "DISABLE_SERVER_SIDE_CURSORS": True}
    connection.settings_dict.update(changed)
    connection.__dict__.pop("_whizbang_store_executor", None)
    connection.__dict__.pop("_whizbang_executor", None)
    yield
    connections.close_all()
    connection.settings_dict.update({name: direct[name] for name in changed})
    connection.__dict__.pop("_whizbang_store_executor", None)
    connection.__dict__.pop("_whizbang_executor", None)


def test_follower_is_exact_behind_the_pooler(pooled: None) -> None:
    """Clients share four server sessions; transactions roll back and take their time."""
    store = whizbang.event_store().driver
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for count in range(APPENDS_OF_EACH):
                with transaction.atomic():
                    append(store, f"s-{number}-{count}", 2, 0)
                    if count % 3 == 0:
                        time.sleep(0.002)
                    transaction.set_rollback(count % 5 == 0)
        except BaseException as exc:
            errors.append(exc)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(WRITERS)]
    tail, handed = store.tail(after=0), list[int]()
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        handed.extend(row.position for row in tail.read(limit=50))
    while rows := tail.read(limit=50):
        handed.extend(row.position for row in rows)
    assert errors == []
    stored = list(StoredEvent.objects.order_by("position").values_list("position", flat=True))
    assert handed == stored
    assert len(stored) == 2 * WRITERS * (APPENDS_OF_EACH - APPENDS_OF_EACH // 5)


def test_verbs_and_worker_work_behind_the_pooler(
    child_environment: dict[str, str], pooled: None, pooler_port: int
) -> None:
    whizbang.send(OpenOrder(order_id="now"))
    whizbang.publish_batch(OpenOrder(order_id=str(number)) for number in range(100))
    environment = {
        **child_environment,
        "PGHOST": "127.0.0.1",
        "PGPORT": str(pooler_port),
        "WHIZBANG_TEST_POOLER": "true",
    }
    worker = subprocess.run(
        [sys.executable, "manage.py", "whizbang", "worker", "--until-idle"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert worker.returncode == 0, worker.stdout + worker.stderr
    assert not InboxMessage.objects.exclude(status="handled").exists()
    assert OrderSummary.objects.count() == CustomerTotal.objects.get().orders == 101


def test_import_and_reads_work_behind_the_pooler(pooled: None) -> None:
    from tests.shop.messages import OrderNoted

    store: Any = whizbang.event_store()
    count = store.import_events(
        (f"shop.Order-{n % 7}", OrderNoted(order_id="1", text="a")) for n in range(3000)
    )
    assert count == len(list(store.read_all(limit=None))) == 3000
    assert [r.meta.version for r in store.read_stream("shop.Order-1")] == list(range(1, 430))
