"""Edit a copy of a dead letter, and handle that one."""

from __future__ import annotations

from typing import Any

import msgspec
from django.db import transaction

from whizbang.drivers.brokers.base import Kind
from whizbang.exceptions import DecodeError, WhizbangError
from whizbang.messages.base import Command
from whizbang.messages.types import find_type
from whizbang.messages.validation import validator
from whizbang.messaging.relay import REFUSED_BY_BROKER
from whizbang.models import DeadLetter
from whizbang.operations.audit import record_action
from whizbang.operations.dead_letters import (
    Redriven,
    lock_letter,
    message_in,
    put_back,
    receive_again,
)
from whizbang.operations.edits import refuse_unknown_fields
from whizbang.store.codec import JSON, codec
from whizbang.store.event_store import EventStore, event_store


def edit_dead_letter(
    pk: int, payload: dict[str, Any], *, reason: str = "", operator: str = ""
) -> Redriven:
    """Put a copy with another payload back in place of a dead letter; the audit trail keeps the original.

    The payload has the form of the message's type today, all fields of it. The copy has the message's
    id: who sent it, or waits for its answer, needs to know nothing. Raises WhizbangError, and leaves the
    letter as it is, for what is no payload of its type and for what is no command.
    """
    store = event_store()
    with transaction.atomic(using=store.using):
        letter = lock_letter(pk, store.using)
        original, of_schema = bytes(letter.payload), letter.schema
        letter.schema, letter.payload = encode_edited(letter, payload)
        done = _put_back_edited(letter, store)
        record_action(
            "edit",
            f"dead letter {pk}",
            using=store.using,
            operator=operator,
            reason=reason,
            message_id=letter.message_id,
            parameters={"type": letter.type, "reason": letter.reason, "schema": of_schema},
            result=str(done),
            original=original,
        )
    return done


def encode_edited(letter: DeadLetter, payload: Any) -> tuple[int, bytes]:
    """The schema and the JSON of an edited payload; raises as edit_dead_letter(). Nothing is changed."""
    if not isinstance(payload, dict):
        raise WhizbangError(f"The payload is {type(payload).__name__}: give an object with fields.")
    cls = _type_of(letter)
    refuse_unknown_fields(cls, payload)
    schema = cls.__whizbang__.schema
    message = codec(cls, JSON).decode(JSON.encode(payload), schema, (f"dead letter {letter.pk}",))
    return schema, validator(cls).validate(message)[1]


def editable_letter(letter: DeadLetter) -> tuple[Any, str]:
    """The payload as its type has it today, to start an edited copy from, and why it cannot be read.

    It is then as it was stored. Raises WhizbangError for what cannot be edited at all.
    """
    cls, stored = _type_of(letter), bytes(letter.payload)
    try:
        message = codec(cls, JSON).decode(stored, letter.schema, (f"dead letter {letter.pk}",))
    except DecodeError as exc:
        return _as_stored(stored), str(exc)
    return JSON.decode_plain(JSON.encode(message)), ""


def _as_stored(stored: bytes) -> Any:
    try:
        return JSON.decode_plain(stored)
    except (msgspec.MsgspecError, ValueError):
        return stored.decode("utf-8", "backslashreplace")


def _type_of(letter: DeadLetter) -> type[Command]:
    """Raises WhizbangError for what is no command; an answer is addressed like one, but has no such payload."""
    cls = find_type(letter.type)
    if cls is None or not issubclass(cls, Command):
        raise WhizbangError(
            f"Dead letter {letter.pk} is no command that is declared here ({letter.type or 'no type'}): "
            "only commands are edited."
        )
    if letter.document is not None and message_in(letter).kind is not Kind.COMMAND:
        raise WhizbangError(f"Dead letter {letter.pk} is an answer: only commands are edited.")
    return cls


def _put_back_edited(letter: DeadLetter, store: EventStore) -> Redriven:
    if letter.document is None or letter.reason == REFUSED_BY_BROKER:
        return put_back(store, letter)
    message = msgspec.structs.replace(
        message_in(letter), payload=bytes(letter.payload), schema=letter.schema
    )
    done = receive_again(letter, message, store)
    DeadLetter.objects.using(store.using).filter(pk=letter.pk).delete()
    return done


def changed_fields(before: Any, after: Any) -> list[str]:
    """Names of the fields that an edit changes, adds or leaves out."""
    if not (isinstance(before, dict) and isinstance(after, dict)):
        return sorted(after) if isinstance(after, dict) else []
    missing = object()
    names = {*before, *after}
    return sorted(n for n in names if before.get(n, missing) != after.get(n, missing))
