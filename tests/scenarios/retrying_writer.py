"""Writers that go on over lost connections, and store nothing twice and nothing never."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from threading import Event
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from django.db import InterfaceError, OperationalError, connection, transaction

import whizbang
from tests.shop.messages import NoteOrder, OrderNoted
from whizbang import ConcurrencyError


class RetryingWriter(ABC):
    """Writes 0, 1, 2… each until it is known to be stored; one thread's alone."""

    def __init__(self) -> None:
        self.stored = 0
        self.failures = 0

    def run(self, is_done: Event) -> None:
        while not is_done.is_set():
            try:
                self.write(self.stored)
            except (OperationalError, InterfaceError):
                self.failures += 1
                connection.close()
            else:
                self.stored += 1

    @abstractmethod
    def write(self, number: int) -> None:
        """Store one thing, or find that it is stored already."""


class Appender(RetryingWriter):
    """Appends to a stream of its own at the version that it must have."""

    def __init__(self, order: int, *, in_atomic: bool) -> None:
        super().__init__()
        self.stream, self._order = f"shop.Order-{order}", str(order)
        self._transaction = transaction.atomic if in_atomic else nullcontext
        self._first_try_at = 0  # failures before the number that is written now

    def write(self, number: int) -> None:
        event = OrderNoted(order_id=self._order, text=str(number))
        try:
            with self._transaction():
                whizbang.event_store().append(self.stream, [event], expected=number)
        except ConcurrencyError:
            # The answer to an earlier try was lost, not what it stored.
            if self.failures == self._first_try_at:
                raise
        self._first_try_at = self.failures

    def texts(self) -> list[Any]:
        return [r.event.text for r in whizbang.event_store().read_stream(self.stream)]


class Publisher(RetryingWriter):
    """Publishes commands, each under one id however often."""

    def write(self, number: int) -> None:
        command = NoteOrder(order_id=f"commanded{number % 50}", text=str(number))
        whizbang.publish(command, message_id=uuid5(NAMESPACE_URL, f"command {number}"))
