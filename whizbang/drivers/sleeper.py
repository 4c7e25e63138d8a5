"""Waiting on a database connection until somebody notifies, or another thread says so."""

from __future__ import annotations

import socket
from selectors import EVENT_READ, DefaultSelector
from typing import Any

from django.db import connections

from whizbang.drivers.wakeups import CHANNEL


class Sleeper:
    """Lets one thread wait, on its own Django connection; `wake` may be called by any thread.

    On PostgreSQL it listens on that connection, unless a pooler stands in between (see Listener);
    elsewhere only this process wakes it, and polling does the rest.
    """

    def __init__(self, using: str) -> None:
        self._using = using
        self._inside, self._outside = socket.socketpair()
        self._inside.setblocking(False)
        self._outside.setblocking(False)
        self._listening: Any = None  # the product's connection that listens

    def wake(self) -> None:
        """End the wait that runs, or the next one."""
        try:
            self._outside.send(b"\0")
        except (BlockingIOError, OSError):
            return  # told often enough, or closed

    def sleep(self, seconds: float) -> bool:
        """Wait so long at most; True when somebody woke it. Raises Django's DatabaseError."""
        raw = self._listen()
        if raw is not None and self._take_notifications(raw):
            return True  # it came with the answer to a query
        # Not select(), which refuses descriptors above 1023.
        with DefaultSelector() as selector:
            selector.register(self._inside, EVENT_READ)
            if raw is not None:
                selector.register(raw, EVENT_READ)
            ready = [key.fileobj for key, _ in selector.select(seconds)]
        if self._inside in ready:
            self._inside.recv(4096)
        if raw is not None and raw in ready:
            self._take_notifications(raw)
        return bool(ready)

    def close(self) -> None:
        """Once no thread waits any more."""
        self._inside.close()
        self._outside.close()

    def _listen(self) -> Any:
        connection: Any = connections[self._using]
        is_pooled = connection.settings_dict.get("DISABLE_SERVER_SIDE_CURSORS", False)
        if connection.vendor != "postgresql" or is_pooled:
            return None
        connection.ensure_connection()
        raw = connection.connection
        if raw is not self._listening:
            with connection.wrap_database_errors:
                raw.execute(f"LISTEN {CHANNEL}")
            self._listening = raw
        return raw

    def _take_notifications(self, raw: Any) -> bool:
        with connections[self._using].wrap_database_errors:
            return sum(1 for _ in raw.notifies(timeout=0)) > 0
