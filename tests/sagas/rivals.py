"""Another transaction that waits for a lock, while the test looks at what it holds already."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections, transaction
from django.db.models import QuerySet

_MOST_SECONDS = 10.0


@contextmanager
def made_to_wait(work: Callable[[], Any], *, by: QuerySet[Any]) -> Iterator[None]:
    """Hold the rows' locks in a transaction, which the block runs in, while a thread waits for them."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as exc:
            failures.append(exc)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    try:
        with transaction.atomic():
            assert list(by.select_for_update())
            thread.start()
            _let_it_wait(thread)
            yield
    finally:
        thread.join()
    if failures:
        raise failures[0]


def _let_it_wait(thread: threading.Thread) -> None:
    until = time.monotonic() + _MOST_SECONDS
    while not _somebody_waits():
        assert thread.is_alive() and time.monotonic() < until, "It waits for nothing of ours."
        time.sleep(0.02)


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks "
            "WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return bool(cursor.fetchone()[0])
