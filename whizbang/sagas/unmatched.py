"""Events that found no instance of a saga that wants to know: dead letters, until somebody decides."""

from __future__ import annotations

import logging

from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Event
from whizbang.messages.encoding import encode_json
from whizbang.messages.metadata import Metadata, WireMetadata
from whizbang.messaging.rows import encode_metadata
from whizbang.models import DeadLetter
from whizbang.store.event_store import EventStore

logger = logging.getLogger(__name__)
REASON = "NoSagaInstance"


def bury_unmatched(store: EventStore, saga: str, key: str, event: Event, meta: Metadata) -> None:
    """Keep an event as a dead letter, in the transaction that has delivered it."""
    logger.warning(
        "Event without an instance given up saga=%s position=%s type=%s",
        saga,
        meta.position,
        meta.type,
    )
    DeadLetter.objects.using(store.using).create(
        message_id=meta.message_id,
        type=meta.type,
        schema=type(event).__whizbang__.schema,
        payload=encode_json(event),
        metadata=encode_metadata(WireMetadata.of(meta)),
        occurred_at=meta.occurred_at,
        reason=REASON,
        error=f"{saga} has no instance with the key {key!r}.",
        attempts=1,
        saga=saga,
        saga_key=key,
        position=meta.position,
    )


def offer_again(store: EventStore, letter: DeadLetter) -> None:
    """Let the saga hear the event of a dead letter, in the caller's transaction.

    Raises WhizbangError when there is still no instance, or the saga or the event is gone.
    """
    from whizbang.sagas.declaration import find_saga
    from whizbang.sagas.subscription import SagaSubscription

    saga = find_saga(letter.saga)
    if saga is None:
        raise WhizbangError(f"No saga is called {letter.saga!r} any more: discard the letter.")
    position = letter.position or 0
    rows = list(store.driver.read_log(after=position - 1, until=position, limit=1))
    if not rows:
        raise WhizbangError(f"There is no event at position {position} of the log any more.")
    if not SagaSubscription(store, saga).offer(rows, letter.saga_key):
        raise WhizbangError(
            f"{letter.saga} still has no instance with the key {letter.saga_key!r}: start one, or discard the "
            "letter."
        )
