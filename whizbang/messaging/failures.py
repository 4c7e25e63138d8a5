"""What happens to a message whose handler failed: a retry later, or a dead letter."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from whizbang.messages.text import error_text, traceback_text
from whizbang.messages.types import find_type
from whizbang.messaging.replies import send_answers
from whizbang.models import DeadLetter, InboxMessage
from whizbang.routing.registry import registry
from whizbang.routing.retry import DEFAULT_RETRY, RetryOn, is_final, retry_for

logger = logging.getLogger(__name__)
Status = InboxMessage.Status


def fail(row: InboxMessage, error: Exception, *, using: str) -> None:
    """Retry a claimed message after a while, or give it up after its last attempt.

    All attempts count, whatever their errors were; the last error says how many there may be.
    """
    retry = retry_for(error, _retry_on(row))
    if is_final(error) or row.attempts >= retry.most_attempts:
        bury(row, error, using=using)
        return
    logger.warning(
        "Message failed and will be retried type=%s id=%s attempt=%s error=%s",
        row.type,
        row.message_id,
        row.attempts,
        error_text(error),
    )
    _claimed(row, using).update(
        status=Status.RETRYING,
        available_at=Now() + timedelta(seconds=retry.seconds_after(row.attempts)),
        **_story_of(error),
    )


def bury(row: InboxMessage, error: Exception, *, using: str) -> None:
    """Give a claimed message up: it becomes a dead letter, whole, with its reason."""
    logger.error(
        "Message given up type=%s id=%s attempts=%s error=%s",
        row.type,
        row.message_id,
        row.attempts,
        error_text(error),
    )
    story = _story_of(error)
    with transaction.atomic(using=using):
        changed = _claimed(row, using).update(
            status=Status.FAILED, payload=None, metadata=None, finished_at=Now(), **story
        )
        if changed:
            send_answers([row], Status.FAILED, using=using, error=story["error"])
            DeadLetter.objects.using(using).create(
                message_id=row.message_id,
                type=row.type,
                schema=row.schema,
                payload=row.payload,
                metadata=row.metadata,
                occurred_at=row.occurred_at,
                reason=type(error).__name__,
                attempts=row.attempts,
                **story,
            )


def most_attempts_of(row: InboxMessage) -> int:
    """How many attempts a message may have, whatever its errors are."""
    retries = (DEFAULT_RETRY, *_retry_on(row).values())
    return max(retry.most_attempts for retry in retries)


def _retry_on(row: InboxMessage) -> RetryOn:
    message_type = find_type(row.type)
    handler = registry.handler_of(message_type) if message_type is not None else None
    return handler.retry_on if handler is not None else {}


def _claimed(row: InboxMessage, using: str) -> Any:
    rows = InboxMessage.objects.using(using)
    return rows.filter(pk=row.pk, claim=row.claim, status=Status.RUNNING)


def _story_of(error: Exception) -> dict[str, str]:
    return {
        "error": error_text(error),
        "traceback": traceback_text(error),
    }
