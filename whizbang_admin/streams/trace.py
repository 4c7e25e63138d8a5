"""The page of one correlation: a picture, and a table of the same."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as translate

from whizbang.operations.events.trace import Trace, trace
from whizbang.operations.events.trace_svg import by_service, by_stream, draw_trace, duration
from whizbang_admin.frame.pages import render_page
from whizbang_admin.streams.addresses import node_address, stream_url
from whizbang_admin.streams.nodes import show_nodes

_LANES = {"stream": by_stream, "service": by_service}


def trace_page(model_admin: Any, request: HttpRequest, correlation_id: UUID) -> HttpResponseBase:
    """All that one message has led to, as far as it is known here."""
    request.current_app = model_admin.admin_site.name
    lanes = request.GET.get("by", "stream")
    if lanes not in _LANES:
        raise Http404
    found = trace(correlation_id)
    if not found.nodes:  # a message leads here that is too old to be looked for, and has no event
        return render_page(
            model_admin,
            request,
            "whizbang_admin/streams/no_trace.html",
            title=translate("Correlation %s") % correlation_id,
        )
    address_of = node_address(request)
    drawn = draw_trace(found, lane_of=_LANES[lanes], address_of=address_of)
    return render_page(
        model_admin,
        request,
        "whizbang_admin/streams/trace.html",
        title=translate("Correlation %s") % correlation_id,
        trace=found,
        # All that is in it was escaped as it was drawn (whizbang/operations/svg.py).
        svg=mark_safe(drawn),
        nodes=show_nodes(found.nodes, address_of),
        took=_took(found),
        lanes=lanes,
        events_url=stream_url("search", site=request.current_app, correlation_id=correlation_id),
        may_see_errors=request.user.has_perm("whizbang.view_deadletter"),
    )


def _took(found: Trace) -> str:
    """From the first message to the last."""
    times = [node.at for node in found.nodes if node.at is not None]
    return duration((max(times) - min(times)).total_seconds()) if len(times) > 1 else ""
