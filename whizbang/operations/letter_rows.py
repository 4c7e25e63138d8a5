"""Dead letters and their rows in the inbox."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from whizbang.conf import settings
from whizbang.models import InboxMessage

_MOST = 100


def without_inbox_row(letters: Any) -> list[int]:
    """Numbers of letters that cannot be handled again, since their rows were cleaned up; of a hundred at most."""
    # What came over a broker, and what a saga did not hear, needs none.
    wanted = letters.filter(document__isnull=True, saga="")
    found = dict(wanted.values_list("pk", "message_id")[:_MOST])
    known = set(_rows(found.values(), letters.db).values_list("message_id", flat=True))
    return [pk for pk, message_id in found.items() if message_id not in known]


def keys_held(letters: Any) -> list[str]:
    """Ordering keys that letters hold, sorted; of a hundred at most."""
    ids = list(letters.filter(document__isnull=True).values_list("message_id", flat=True)[:_MOST])
    rows = _rows(ids, letters.db).filter(
        ordering_key__isnull=False, status=InboxMessage.Status.FAILED
    )
    return sorted(set(rows.values_list("ordering_key", flat=True)))


def _rows(message_ids: Any, using: str) -> Any:
    ids: list[UUID] = list(message_ids)
    rows = InboxMessage.objects.using(using)
    return rows.filter(message_id__in=ids, service=settings.SERVICE)
