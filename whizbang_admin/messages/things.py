"""The page of one message, be it a dead letter, in the inbox or in the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as translate

from whizbang.messages.metadata import WireMetadata
from whizbang.models import OperatorAction
from whizbang.store.codec import JSON
from whizbang_admin.actions.links import Offered
from whizbang_admin.audit.trail import Trail
from whizbang_admin.frame.documents import MOST_CHARACTERS, show_document, show_payload
from whizbang_admin.frame.pages import render_page
from whizbang_admin.streams.addresses import stream_url

_decode_metadata = msgspec.json.Decoder(WireMetadata).decode


class Line(NamedTuple):
    """One fact; with a URL it is a link."""

    name: str
    value: Any
    url: str = ""

    @property
    def is_moment(self) -> bool:
        return isinstance(self.value, datetime)


class Box(NamedTuple):
    """A long text that scrolls."""

    name: str
    text: str
    is_cut: bool = False
    is_trace: bool = False  # its end, where the error is, is shown first


def show_thing(
    model_admin: Any,
    request: HttpRequest,
    *,
    title: str,
    lines: Sequence[Line],
    boxes: Sequence[Box],
    offers: Sequence[Offered],
    trail: Trail,
    note: str = "",
) -> HttpResponseBase:
    """What is known of it, what can be done, and what operators did."""
    return render_page(
        model_admin,
        request,
        "whizbang_admin/messages/thing.html",
        title=title,
        lines=[line for line in lines if line.value not in (None, "")],
        boxes=[box for box in boxes if box.text],
        offers=offers,
        trail=trail,
        note=note,
    )


def payload_box(name: str, row: Any, request: HttpRequest) -> Box:
    """The payload of a row that has a type, as the user who looks may see it; empty where it has none any more."""
    if row.payload is None:
        return Box(name, "")
    shown = show_payload(
        JSON, bytes(row.payload), type=row.type, who=request.user, most=MOST_CHARACTERS
    )
    return Box(name, shown.text, shown.is_cut)


def original_box(name: str, record: OperatorAction, request: HttpRequest) -> Box:
    """The payload that an edit or a discard took away, as the user who looks may see it; empty without one.

    All of it is masked where the record does not tell its type.
    """
    if record.original is None:
        return Box(name, "")
    type = str(record.parameters.get("type", ""))
    stored = bytes(record.original)
    shown = show_payload(JSON, stored, type=type, who=request.user, most=MOST_CHARACTERS)
    return Box(name, shown.text, shown.is_cut)


def document_box(name: str, stored: Any) -> Box:
    """A stored document, cut when it is very long; empty where nothing is stored."""
    if stored is None:
        return Box(name, "")
    shown = show_document(JSON, bytes(stored), most=MOST_CHARACTERS)
    return Box(name, shown.text, shown.is_cut)


def page_url(model_admin: Any, model: str, page: str, *args: Any) -> str:
    """Of a page of the console, such as page_url(self, "deadletter", "change", 12)."""
    name = f"admin:whizbang_{model}_{page}"
    return reverse(name, args=args, current_app=model_admin.admin_site.name)


def linked(model_admin: Any, request: HttpRequest, name: str, row: Any) -> Line:
    """A row that has a page of its own, as a link for those who may see that."""
    if row is None:
        return Line(name, "")
    model = row._meta.model_name
    may_see = request.user.has_perm(f"whizbang.view_{model}")
    return Line(name, str(row), page_url(model_admin, model, "change", row.pk) if may_see else "")


def correlation_line(request: HttpRequest, metadata: Any) -> Line:
    """All that belongs to a message, as a link for those who may see streams; empty where that cannot be read."""
    name = translate("All that belongs to it")
    if metadata is None or not request.user.has_perm("whizbang.view_stream"):
        return Line(name, "")
    try:
        correlation_id = _decode_metadata(bytes(metadata)).correlation_id
    except msgspec.MsgspecError:
        return Line(name, "")
    url = stream_url("trace", correlation_id, site=request.current_app)
    return Line(name, translate("correlation %s") % correlation_id, url)
