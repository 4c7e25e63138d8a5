"""What happens to a message whose handler failed: a retry later, or a dead letter."""

from __future__ import annotations

import logging
import random
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.exceptions import (
    DecodeError,
    HandlerNotFound,
    MessageRejected,
    OwnershipError,
    Rejected,
    UnknownMessageType,
    UnstorableResult,
)
from whizbang.messages.text import error_text, traceback_text
from whizbang.messaging.replies import send_answers
from whizbang.models import DeadLetter, InboxMessage

logger = logging.getLogger(__name__)
Status = InboxMessage.Status
# A second try would end the same way.
_FINAL_ERRORS = (
    Rejected,
    MessageRejected,
    UnknownMessageType,
    DecodeError,
    HandlerNotFound,
    OwnershipError,
    UnstorableResult,
)


def fail(row: InboxMessage, error: Exception, *, using: str) -> None:
    """Retry a claimed message after a while, or give it up after its last attempt."""
    is_final = isinstance(error, _FINAL_ERRORS) or getattr(error, "is_lasting", False)
    if is_final or row.attempts >= settings.MAX_ATTEMPTS:
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
        available_at=Now() + timedelta(seconds=retry_seconds(row.attempts)),
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


def retry_seconds(attempts: int) -> float:
    """Exponential backoff with jitter: the wait after that many attempts."""
    longest = min(settings.RETRY_SECONDS * 2 ** (attempts - 1), settings.RETRY_MAX_SECONDS)
    return float(random.uniform(longest / 2, longest))


def _claimed(row: InboxMessage, using: str) -> Any:
    rows = InboxMessage.objects.using(using)
    return rows.filter(pk=row.pk, claim=row.claim, status=Status.RUNNING)


def _story_of(error: Exception) -> dict[str, str]:
    return {
        "error": error_text(error),
        "traceback": traceback_text(error),
    }
