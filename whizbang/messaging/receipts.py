"""Receipts: what became of a message that was stored."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Generic, TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import connections

from whizbang.exceptions import CommandFailed, ResultTooLarge, WaitTimeout, WrongMode
from whizbang.messages.base import Message
from whizbang.messaging.results import NotKept, decode_result
from whizbang.models import InboxMessage

_POLL_SECONDS = 0.02
Status = InboxMessage.Status
R = TypeVar("R")
FINISHED = (Status.HANDLED, Status.FAILED, Status.EXPIRED)


class Receipt(Generic[R]):
    """Tells what became of one message: status, result and error, as of the last refresh."""

    def __init__(self, id: UUID, message_type: type[Any], *, using: str) -> None:
        self.id = id
        self.status: str = Status.STORED.value
        self.error: str = ""
        self._type: type[Message] = message_type
        self._using = using
        self._result: Any = None

    def __repr__(self) -> str:
        return f"<Receipt {self._type.__whizbang__.type_name} {self.id} {self.status}>"

    @classmethod
    def handled(cls, id: UUID, message_type: type[Any], result: R, *, using: str) -> Receipt[R]:
        """The receipt of a message that was handled inline."""
        made = cls(id, message_type, using=using)
        made.status, made._result = Status.HANDLED.value, result
        return made

    @property
    def result(self) -> R | None:
        """What the handler returned; None until it is handled. Raises `ResultTooLarge`."""
        if isinstance(self._result, NotKept):
            raise ResultTooLarge(self.id, self._type.__whizbang__.type_name)
        return self._result  # type: ignore[no-any-return]

    def refresh(self) -> Receipt[R]:
        """Read the message's state again and give the receipt back."""
        row = InboxMessage.objects.using(self._using).filter(message_id=self.id).first()
        if row is not None:
            self.status, self.error = str(row.status), row.error
            if row.status == Status.HANDLED:
                self._result = decode_result(row.result, self._type)
        return self

    def wait(self, *, timeout_seconds: float = 30.0) -> R:
        """Wait until the message is handled and return its result.

        Raises `CommandFailed` when it was given up or expired, `WaitTimeout` when it takes longer, and
        `WrongMode` inside an open transaction, where nobody else could see the message yet.
        """
        deadline = time.monotonic() + timeout_seconds
        if asyncio._get_running_loop() is not None:
            raise WrongMode(
                "wait() was called in a running event loop: use `await receipt.await_result()`."
            )
        while not self._is_finished(deadline):
            time.sleep(_POLL_SECONDS)
        return self._outcome()

    async def await_result(self, *, timeout_seconds: float = 30.0) -> R:
        """See wait()."""
        deadline = time.monotonic() + timeout_seconds
        while not await sync_to_async(self._is_finished)(deadline):
            await asyncio.sleep(_POLL_SECONDS)
        return self._outcome()

    def _is_finished(self, deadline: float) -> bool:
        if self.status in FINISHED or self.refresh().status in FINISHED:
            return True
        type_name = self._type.__whizbang__.type_name
        if connections[self._using].in_atomic_block:
            raise WrongMode(
                f"wait() for {type_name} {self.id} inside an open transaction would never end: the "
                "message is not committed yet. Wait after the transaction; in a test call "
                "whizbang.testing.drain() first."
            )
        if time.monotonic() >= deadline:
            raise WaitTimeout(
                f"{type_name} {self.id} is still {self.status}; it goes on. Is a worker running?"
            )
        return False

    def _outcome(self) -> R:
        if self.status != Status.HANDLED:
            raise CommandFailed(self.id, self._type.__whizbang__.type_name, self.status, self.error)
        return self.result  # type: ignore[return-value]

    async def arefresh(self) -> Receipt[R]:
        """See refresh()."""
        return await sync_to_async(self.refresh)()
