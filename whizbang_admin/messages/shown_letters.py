"""Dead letters as pages show them, and which ones a page is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404
from django.utils.translation import gettext as translate

from whizbang.conf import settings
from whizbang.models import DeadLetter, InboxMessage
from whizbang.store.codec import JSON
from whizbang_admin.frame.documents import MOST_CHARACTERS, ShownDocument, show_document, show_text

MOST_AT_ONCE = 100
_MOST_PAYLOAD = 4_000  # characters of each, on a page of up to that many
_CHUNK_ROWS = 10  # payloads in memory at a time


@dataclass(frozen=True, slots=True)
class ShownLetter:
    """A dead letter as a confirmation page shows it; `inbox` is its row, which would run again."""

    row: DeadLetter
    payload: ShownDocument
    inbox: InboxMessage | None

    needs_inbox: bool  # it was given up by a handler here, and cannot go on without its row


def show_letters(rows: Any) -> list[ShownLetter]:
    """With payloads that are cut, of as many letters as a page has."""
    found = list(rows)
    inbox = {
        row.message_id: row
        for row in InboxMessage.objects.using(rows.db)
        .filter(message_id__in=[row.message_id for row in found], service=settings.SERVICE)
        .only("message_id", "service", "status", "ordering_key")
    }
    received = set(rows.filter(document__isnull=False).values_list("pk", flat=True))
    payloads = rows.values_list("pk", "payload").iterator(chunk_size=_CHUNK_ROWS)
    shown = {pk: show_document(JSON, bytes(data), most=_MOST_PAYLOAD) for pk, data in payloads}
    return [
        ShownLetter(row, shown[row.pk], inbox.get(row.message_id), row.pk not in received)
        for row in found
        if row.pk in shown
    ]


def show_cut(document: Any, *, label: str) -> str:
    """A document in a box, cut when it is very long."""
    shown = show_document(JSON, bytes(document), most=MOST_CHARACTERS)
    more = translate("\n… there is more.") if shown.is_cut else ""
    return show_text(shown.text + more, label=label)


def numbers_of(rows: Any) -> list[int]:
    """Of the letters that somebody has chosen, as many as a page can show."""
    return list(rows.order_by("pk").values_list("pk", flat=True)[:MOST_AT_ONCE])


def numbers_in(texts: Sequence[str]) -> list[int]:
    """Of the letters that an address names. Raises Http404 for none, too many, or what is no number."""
    numbers = sorted({int(text) for text in texts if text.isascii() and text.isdigit()})
    if not numbers or len(numbers) > MOST_AT_ONCE or numbers[-1] >= 2**63:
        raise Http404
    return numbers
