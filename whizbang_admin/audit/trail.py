"""What operators did to one thing, to be shown on its own page.

A page that shows something puts `actions_on(request, "subscription shop.Orders")` into its context as `trail`,
and `{% include "whizbang_admin/audit/trail.html" %}` into its template.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils.http import urlencode

from whizbang.models import ActionRequest, OperatorAction
from whizbang.store.event_store import event_store

_OPEN = (ActionRequest.Status.WAITING, ActionRequest.Status.QUEUED, ActionRequest.Status.RUNNING)
_MOST_TARGETS = 20


@dataclass(frozen=True, slots=True)
class Trail:
    """Actions, the newest first, and requests that are still open; `all_url` leads to the list of all of them.

    Both are empty for who may not see them.
    """

    actions: list[OperatorAction]
    requests: list[ActionRequest]
    all_url: str = ""
    is_cut: bool = False

    def __bool__(self) -> bool:
        return bool(self.actions or self.requests)


def actions_on(
    request: HttpRequest, *targets: str, message_id: UUID | None = None, limit: int = 10
) -> Trail:
    """What was done to any of these, named as `Action.target()` names them, or to a message.

    Three statements at most, by their indexes.
    """
    names = [target[:200] for target in targets][:_MOST_TARGETS]
    if not request.user.has_perm("whizbang.view_operatoraction"):
        return Trail([], [])
    rows = OperatorAction.objects.using(event_store().using).defer("original", "parameters")
    found = _newest(rows.filter(target__in=names), limit) if names else []
    if message_id is not None:  # apart from the others: not every database joins two indexes
        found += _newest(rows.filter(message_id=message_id), limit)
    newest = sorted({row.pk: row for row in found}.values(), key=lambda row: -row.pk)
    return Trail(
        newest[:limit],
        _open_requests(request, names) if names else [],
        all_url=_url_of(request, str(message_id) if message_id is not None else names[0]),
        is_cut=len(newest) > limit,
    )


def _newest(rows: Any, limit: int) -> list[OperatorAction]:
    return list(rows.order_by("-id")[: limit + 1])


def _open_requests(request: HttpRequest, names: list[str]) -> list[ActionRequest]:
    if not request.user.has_perm("whizbang.view_actionrequest"):
        return []
    rows = ActionRequest.objects.using(event_store().using).defer("document", "parameters", "seen")
    return list(rows.filter(status__in=_OPEN, target__in=names).order_by("-id")[:_MOST_TARGETS])


def _url_of(request: HttpRequest, term: str) -> str:
    site = getattr(request, "current_app", None) or "admin"
    url = reverse("admin:whizbang_operatoraction_changelist", current_app=site)
    return f"{url}?{urlencode({'q': term})}"
