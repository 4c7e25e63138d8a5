"""Waking workers of other processes by PostgreSQL's LISTEN and NOTIFY, beside every transaction.

NOTIFY inside an appending transaction makes commits wait for each other, so it is sent afterwards, by
itself. Whoever misses one finds the work by polling; behind a transaction pooler all are missed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from django.db import DatabaseError, connections

logger = logging.getLogger(__name__)
CHANNEL = "whizbang_log"
# A process sends one in this time at most: NOTIFY takes a lock that all of a server share, and a worker that
# was just woken polls often for a while.
SEND_SECONDS = 0.1
_LOOK_SECONDS = 0.5  # how soon a listener sees that it shall stop
_MOST_STOP_SECONDS = 5.0
_RETRY_SECONDS = 5.0  # between two tries to connect
_sent_at: dict[str, float] = {}


def is_quiet(using: str) -> bool:
    """Were others told so recently that they still look often by themselves?"""
    return time.monotonic() - _sent_at.get(using, -SEND_SECONDS) < SEND_SECONDS


def wake_others(using: str) -> None:
    """Tell the listeners of a database that something was committed; nothing where it cannot.

    For the moment after a commit. An error is logged: what was committed is there, and polling finds it.
    """
    if is_quiet(using):
        return
    _sent_at[using] = time.monotonic()
    connection: Any = connections[using]
    if connection.vendor != "postgresql" or not connection.get_autocommit():
        return
    try:
        with connection.wrap_database_errors:
            # By the driver alone: who counts queries should not count one now and then.
            connection.connection.execute(f"NOTIFY {CHANNEL}")
    except DatabaseError as exc:
        logger.info("Other workers were not woken error=%s", exc)


class Listener:
    """Calls `wake()` in a thread whenever somebody notifies; on a connection of its own."""

    def __init__(self, using: str, wake: Callable[[], None]) -> None:
        self._using, self._wake = using, wake
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Does nothing where the database has no notifications, or a pooler would lose them.

        Settings say that by DISABLE_SERVER_SIDE_CURSORS, as for Django's own.
        """
        connection = connections[self._using]
        is_pooled = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS", False)
        if connection.vendor == "postgresql" and not is_pooled:
            self._thread = threading.Thread(
                target=self._listen, name="whizbang-listener", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """End the thread and its connection; a thread that hangs in connecting is left behind."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_MOST_STOP_SECONDS)

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen_on_one_connection()
            except DatabaseError as exc:
                logger.info("Listening for commits failed, polling goes on error=%s", exc)
                self._stop.wait(_RETRY_SECONDS)

    def _listen_on_one_connection(self) -> None:
        # A copy, since this connection listens for as long as it lives: nobody else may get it.
        connection: Any = connections[self._using].copy()
        try:
            connection.connect()
            with connection.wrap_database_errors:
                raw = connection.connection
                raw.execute(f"LISTEN {CHANNEL}")
                self._wake()  # what was committed before
                while not self._stop.is_set():
                    if any(True for _ in raw.notifies(timeout=_LOOK_SECONDS, stop_after=1)):
                        self._wake()
        finally:
            connection.close()
