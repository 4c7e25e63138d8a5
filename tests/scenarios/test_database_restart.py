"""Scenario 16: the database is restarted in the middle, and once killed; workers connect again and end with the same result.

The server is one that the test starts: PostgreSQL or MariaDB, as the run is on.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Event

import pytest
from django.conf import settings
from django.db import connection, connections

import whizbang
from tests.marks import soak_on
from tests.processes import running, stop, wait_for_end, wait_until
from tests.scenarios.own_server import OwnMariadb, OwnPostgres, OwnServer
from tests.scenarios.read_model import (
    Environment,
    at_once,
    fold,
    has_caught_up,
    rows,
    start_worker,
    streams,
)
from tests.scenarios.retrying_writer import Appender, Publisher, RetryingWriter
from tests.services import must_answer
from tests.shop.messages import OrderNoted
from tests.shop.models import Heard
from whizbang.drivers.wakeups import Listener, is_quiet, wake_others
from whizbang.models import DeadLetter, InboxMessage

SERVERS: dict[str, type[OwnServer]] = {"postgres": OwnPostgres, "mariadb": OwnMariadb}
EVENTS_BETWEEN = 100  # at least, applied before the server goes away
FAILURES = 20  # of each writer, before it comes back

pytestmark = [pytest.mark.requires_server, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def server() -> Iterator[OwnServer]:
    kind = SERVERS.get(settings.DATABASE_KIND)
    if kind is None:
        pytest.skip(f"tests cannot start a server of their own for {settings.DATABASE_KIND}")
    if missing := kind.missing():
        absence = f"to start a server of the test's own, {', '.join(missing)} is missing"
        pytest.fail(absence, pytrace=False) if must_answer() else pytest.skip(absence)
    with tempfile.TemporaryDirectory(prefix="whizbang-server-") as folder:
        made = kind(Path(folder))
        try:
            made.set_up()
            yield made
        finally:
            if made.is_running:
                made.kill()


@pytest.fixture
def environment(server: OwnServer, child_environment: Environment) -> Iterator[Environment]:
    """Processes, and this one, work on the test's own server."""
    connection.close()
    usual = dict(connection.settings_dict)
    connection.settings_dict.update(server.connection_settings)
    own = {**child_environment, **server.environment}
    try:
        with running(own, "manage.py", "migrate", "--verbosity=0") as process:
            wait_for_end(process)
        yield own
    finally:
        connections.close_all()
        connection.settings_dict.update(usual)


@soak_on("mariadb")
def test_workers_go_on_after_a_restart_and_a_crash(
    environment: Environment, server: OwnServer
) -> None:
    appenders = [Appender(1, in_atomic=False), Appender(2, in_atomic=True)]
    publisher = Publisher()
    writers: list[RetryingWriter] = [*appenders, publisher]
    start = partial(start_worker, environment, BATCH_SIZE=200)
    with start() as first, start() as second:
        write_while(writers, partial(interrupt_twice, server, writers))
        wait_until(lambda: are_commands_handled() and has_caught_up())
        wait_until(lambda: rows() == fold() == streams())
        for process in (first, second):
            assert process.poll() is None
            assert stop(process).count("Database trouble") >= 2, "it did not notice"
    for appender in appenders:
        assert appender.texts() == [str(number) for number in range(appender.stored)]
    assert_each_command_was_handled_once(publisher)
    assert rows() == fold()


def write_while(writers: Sequence[RetryingWriter], action: Callable[[], None]) -> None:
    is_done = Event()

    def act() -> None:
        try:
            action()
        finally:
            is_done.set()

    at_once(act, *(partial(writer.run, is_done) for writer in writers))


def interrupt_twice(server: OwnServer, writers: Sequence[RetryingWriter]) -> None:
    for end in (server.shut_down, server.kill):
        wait_for_applied()
        end()
        before = [writer.failures for writer in writers]
        wait_until(
            lambda before=before: all(  # type: ignore[misc]
                writer.failures >= failures + FAILURES
                for writer, failures in zip(writers, before, strict=True)
            )
        )
        server.start()
        connection.close()
    wait_for_applied()


def wait_for_applied() -> None:
    """Until events that are not even stored yet are in the read model."""
    wanted = sum(fold().values()) + EVENTS_BETWEEN
    wait_until(lambda: sum(rows().values()) >= wanted)


def are_commands_handled() -> bool:
    return not InboxMessage.objects.exclude(status="handled").exists()


def assert_each_command_was_handled_once(publisher: Publisher) -> None:
    assert not DeadLetter.objects.exists()
    numbers = {str(number) for number in range(publisher.stored)}
    recorded = whizbang.event_store().read_all(limit=None, types=[OrderNoted])
    noted = Counter(r.event.text for r in recorded if "commanded" in r.event.order_id)
    heard = Counter(Heard.objects.values_list("text", flat=True))
    assert noted == dict.fromkeys(numbers, 1)
    assert {text: heard[f"handled {text}"] for text in numbers} == noted


@pytest.mark.requires_postgres
@pytest.mark.parametrize("end", ["shut_down", "kill"])
def test_nudges_arrive_again_after_the_database_was_away(
    environment: Environment, server: OwnServer, end: str
) -> None:
    woken: list[None] = []
    listener = Listener("default", lambda: woken.append(None))
    listener.start()
    try:
        wait_until(lambda: len(woken) == 1)  # it listens
        getattr(server, end)()
        server.start()
        connection.close()
        wait_until(lambda: len(woken) == 2)  # it listens again, and says so once by itself
        for count in (3, 4):
            send_nudge()
            wait_until(lambda count=count: len(woken) == count)  # type: ignore[misc]
    finally:
        listener.stop()


def send_nudge() -> None:
    wait_until(lambda: not is_quiet("default"))
    connection.ensure_connection()
    wake_others("default")
