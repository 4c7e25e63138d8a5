"""The page of one dead letter."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate

from whizbang.conf import settings
from whizbang.exceptions import WhizbangError
from whizbang.models import DeadLetter, InboxMessage
from whizbang.operations.actions.dead_letters import DiscardLetters, EditLetter, RedriveLetters
from whizbang.operations.letter_edits import editable_letter
from whizbang_admin.actions.links import Offered, offer
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.pages import back_to_list
from whizbang_admin.messages.things import (
    Box,
    Line,
    correlation_line,
    document_box,
    linked,
    page_url,
    payload_box,
    show_thing,
)


def letter_page(model_admin: Any, request: HttpRequest, object_id: str) -> HttpResponseBase:
    """What happened to it, its payload, what operators did, and what can be done."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    request.current_app = model_admin.admin_site.name
    letter = find_letter(model_admin, request, object_id)
    if letter is None:
        messages.warning(request, translate("This dead letter is gone: somebody decided about it."))
        return back_to_list(model_admin)
    row = _inbox_row(letter)
    return show_thing(
        model_admin,
        request,
        title=translate("Dead letter %s") % letter.pk,
        lines=[*_lines(letter), *_history(model_admin, request, letter, row)],
        boxes=[
            Box(translate("Error"), letter.error),
            payload_box(translate("Payload"), letter, request),
            document_box(translate("Metadata"), letter.metadata),
            Box(translate("Traceback"), letter.traceback, is_trace=True),
        ],
        offers=_offers(model_admin, request, letter),
        trail=actions_on(request, f"dead letter {letter.pk}", message_id=letter.message_id),
        note=_why_not(letter, row),
    )


def find_letter(model_admin: Any, request: HttpRequest, object_id: str) -> DeadLetter | None:
    """With all of its columns; None when it is gone."""
    if not (object_id.isascii() and object_id.isdigit() and len(object_id) < 19):
        return None
    rows = model_admin.get_queryset(request).defer(None)
    found: DeadLetter | None = rows.filter(pk=int(object_id)).first()
    return found


def _inbox_row(letter: DeadLetter) -> InboxMessage | None:
    rows = InboxMessage.objects.using(letter._state.db or "default")
    return (
        rows.filter(message_id=letter.message_id, service=settings.SERVICE)
        .only("id", "message_id", "type", "status", "attempts", "ordering_key", "finished_at")
        .first()
    )


def _lines(letter: DeadLetter) -> list[Line]:
    return [
        Line(translate("Type"), letter.type),
        Line(translate("Message id"), letter.message_id),
        Line(translate("Died of"), letter.reason),
        Line(translate("Died"), letter.died_at),
        Line(translate("Attempts"), letter.attempts),
        Line(translate("Occurred"), letter.occurred_at),
        Line(translate("Saga"), letter.saga),
        Line(translate("Key of the saga"), letter.saga_key),
        Line(translate("Position in the log"), letter.position),
    ]


def _history(
    model_admin: Any, request: HttpRequest, letter: DeadLetter, row: InboxMessage | None
) -> list[Line]:
    rows = DeadLetter.objects.using(letter._state.db or "default").exclude(pk=letter.pk)
    other = rows.filter(message_id=letter.message_id).only("id", "message_id", "type").first()
    return [
        linked(model_admin, request, translate("In the inbox"), row),
        Line(translate("Holds ordering key"), row.ordering_key if row else ""),
        linked(model_admin, request, translate("Another letter of it"), other),
        correlation_line(request, letter.metadata),
    ]


def _why_not(letter: DeadLetter, row: InboxMessage | None) -> str:
    if letter.document is None and not letter.saga and row is None:
        return translate(
            "Its row in the inbox is gone, so that it cannot be redriven: publish the message anew."
        )
    return ""


def _offers(model_admin: Any, request: HttpRequest, letter: DeadLetter) -> list[Offered]:
    id = str(letter.pk)
    redrive, discard = RedriveLetters(ids=id), DiscardLetters(ids=id)
    return [
        *offer(request, redrive),
        *_offer_edit(model_admin, request, letter),
        *offer(request, discard),
    ]


def _offer_edit(model_admin: Any, request: HttpRequest, letter: DeadLetter) -> list[Offered]:
    """To its own page: a payload does not go into an address."""
    if not request.user.has_perm(EditLetter.permission):
        return []
    try:
        editable_letter(letter)
    except WhizbangError:  # what is no command
        return []
    url = page_url(model_admin, "deadletter", "edit", letter.pk)
    return [Offered(EditLetter.name, str(EditLetter.label), url)]
