"""Receipts: what became of a message that was stored."""

from __future__ import annotations

import asyncio
import time
import typing
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid4

import msgspec
from asgiref.sync import sync_to_async
from django.db import IntegrityError, connections, transaction
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.errors import naming_missing_tables
from whizbang.drivers.rows import rows_of
from whizbang.exceptions import (
    CommandFailed,
    MessageIdReused,
    ResultTooLarge,
    UnstorableResult,
    WaitTimeout,
    WhizbangError,
    WrongMode,
)
from whizbang.messages.base import Command, Message
from whizbang.messages.encoding import encode_json
from whizbang.messages.envelope import Envelope
from whizbang.messages.hashing import hash_of
from whizbang.messaging.rows import columns_of
from whizbang.models import InboxMessage

_TOO_LARGE = b"\0"  # stands for a result that was not kept; no JSON starts with it
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
        if isinstance(self._result, _NotKept):
            raise ResultTooLarge(self.id, self._type.__whizbang__.type_name)
        return self._result  # type: ignore[no-any-return]

    def refresh(self) -> Receipt[R]:
        """Read the message's state again and give the receipt back."""
        row = InboxMessage.objects.using(self._using).filter(message_id=self.id).first()
        if row is not None:
            self.status, self.error = str(row.status), row.error
            if row.status == Status.HANDLED:
                self._result = decode_result(row, self._type)
        return self

    def wait(self, *, timeout_seconds: float = 30.0) -> R:
        """Wait until the message is handled and return its result.

        Raises `CommandFailed` when it was given up or expired, `WaitTimeout` when it takes longer, and
        `WrongMode` inside an open transaction, where nobody else could see the message yet.
        """
        deadline = time.monotonic() + timeout_seconds
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


class _NotKept:
    """Stands for a result that was larger than MAX_RESULT_BYTES."""


class LostClaim(WhizbangError):
    """Another worker took a message over, so this one's effects must not commit."""


def result_type(message_type: type[Message]) -> Any:
    """The R of Command[R]; Any for a bare Command."""
    for base in getattr(message_type, "__orig_bases__", ()):
        if typing.get_origin(base) is Command:
            return typing.get_args(base)[0]
    return Any


def encode_result(result: Any) -> bytes | None:
    if result is None:
        return None
    try:
        data = encode_json(result)
    except (TypeError, ValueError) as exc:
        raise UnstorableResult(type(result).__name__, exc) from exc
    return _TOO_LARGE if len(data) > settings.get().MAX_RESULT_BYTES else data


def decode_result(row: InboxMessage, message_type: type[Message]) -> Any:
    if row.result is None:
        return None
    data = bytes(row.result)
    if data == _TOO_LARGE:
        return _NotKept()
    return msgspec.json.decode(data, type=result_type(message_type), strict=False)


def open_receipt(envelope: Envelope) -> tuple[InboxMessage, bool]:
    """The row of an id given by the caller, and whether it is new. Blocks while a rival holds the id."""
    from whizbang.store.event_store import event_store

    using = event_store(envelope.using).using
    columns = columns_of(envelope, using=using)
    row = InboxMessage(
        service=settings.SERVICE,
        mode="inline",
        status=Status.RUNNING,
        claim=uuid4(),
        payload_hash=hash_of(columns["type"], columns["payload"]),
        **{**columns, "available_at": columns["occurred_at"]},
    )
    try:
        with naming_missing_tables(using), transaction.atomic(using=using):
            row.save(using=using, force_insert=True)
    except IntegrityError:
        known = InboxMessage.objects.using(using).get(
            message_id=row.message_id, service=row.service
        )
        check_same(known, bytes(row.payload_hash), row.type)
        return known, False
    return row, True


def check_same(known: InboxMessage, payload_hash: bytes, type_name: str) -> None:
    """Raise `MessageIdReused` unless a known message has this payload."""
    if bytes(known.payload_hash) != payload_hash:
        raise MessageIdReused(known.message_id, type_name)


def answer_again(row: InboxMessage, message_type: type[Message]) -> Any:
    """The answer that a message got before."""
    type_name = message_type.__whizbang__.type_name
    if row.status == Status.HANDLED:
        result = decode_result(row, message_type)
        if isinstance(result, _NotKept):
            raise ResultTooLarge(row.message_id, type_name)
        return result
    if row.status in (Status.FAILED, Status.EXPIRED):
        raise CommandFailed(row.message_id, type_name, str(row.status), row.error)
    raise WaitTimeout(
        f"{type_name} {row.message_id} is being handled elsewhere ({row.status}): "
        "use the receipt of the first send, or send it again later."
    )


def abandon(row: InboxMessage) -> None:
    """Forget an id whose handler failed without a transaction that would undo it."""
    using = row._state.db or "default"
    if not connections[using].in_atomic_block:
        InboxMessage.objects.using(using).filter(pk=row.pk, claim=row.claim).delete()


def complete(row: InboxMessage, result: Any) -> None:
    """Mark a message as handled in the transaction of its effects. Raises `LostClaim`."""
    using = row._state.db or "default"
    changed = (
        InboxMessage.objects.using(using)
        .filter(pk=row.pk, claim=row.claim, status=Status.RUNNING)
        .update(
            status=Status.HANDLED,
            result=encode_result(result),
            payload=None,
            metadata=None,
            ordering_key=None,
            error="",
            traceback="",
            finished_at=Now(),
        )
    )
    if not changed:
        raise LostClaim(f"Message {row.message_id} was taken over by another worker.")


def complete_many(completed: list[tuple[InboxMessage, Any]], *, using: str) -> None:
    """Mark a batch as handled. Raises `LostClaim` when one of them was taken over."""
    if not completed:
        return
    rows = [row for row, _ in completed]
    changed = (
        InboxMessage.objects.using(using)
        .filter(pk__in=[row.pk for row in rows], claim=rows[0].claim, status=Status.RUNNING)
        .update(
            status=Status.HANDLED,
            payload=None,
            metadata=None,
            ordering_key=None,
            error="",
            traceback="",
            finished_at=Now(),
        )
    )
    if changed != len(rows):
        raise LostClaim(f"{len(rows) - changed} messages were taken over by another worker.")
    results = [(row.pk, encode_result(result)) for row, result in completed if result is not None]
    if results:
        key = InboxMessage._meta.get_field("id")
        rows_of(InboxMessage, key, using).set_columns(["result"], results)
