"""Dead letters by type and reason, which one sees first."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import urlencode
from django.utils.translation import gettext as translate

from whizbang.models import Redrive
from whizbang.operations.dead_letters import LetterGroup, group_dead_letters
from whizbang.operations.letter_discards import newest_letter
from whizbang.operations.redrive import OPEN
from whizbang.store.event_store import event_store
from whizbang_admin.actions.links import Offered, offer_named
from whizbang_admin.frame.pages import list_url, render_page
from whizbang_admin.messages.options import USUAL_RATE
from whizbang_admin.messages.things import page_url

_MOST_GROUPS = 200
_MOST_RUNS = 20


class ShownGroup(NamedTuple):
    """A group, with the address of its letters, and what can be done about all of them."""

    group: LetterGroup
    url: str
    offers: list[Offered]


def groups_page(model_admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Counts by type and reason, each with a way to its letters."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    request.current_app = model_admin.admin_site.name
    groups, newest = group_dead_letters(limit=_MOST_GROUPS), newest_letter()
    return render_page(
        model_admin,
        request,
        "whizbang_admin/messages/letter_groups.html",
        title=translate("Dead letters by type and reason"),
        groups=[_show(model_admin, request, group, newest) for group in groups],
        runs=_open_runs(model_admin, request),
        is_cut=len(groups) == _MOST_GROUPS,
        all_url=f"{list_url(model_admin)}?all=1",
        offers=offers_for(request, until=newest) if groups else [],
    )


def _open_runs(model_admin: Any, request: HttpRequest) -> list[tuple[Redrive, str]]:
    if not request.user.has_perm("whizbang.view_redrive"):
        return []
    rows = Redrive.objects.using(event_store().using).filter(status__in=OPEN).defer("waiting")
    runs = rows.order_by("-id")[:_MOST_RUNS]
    return [(run, page_url(model_admin, "redrive", "change", run.pk)) for run in runs]


def offers_for(
    request: HttpRequest, *, until: int, type: str = "", cause: str = ""
) -> list[Offered]:
    """Redriving and discarding all letters that are chosen so; what dies after `until` is not discarded."""
    chosen = {name: value for name, value in (("type", type), ("cause", cause)) if value}
    which: dict[str, Any] = chosen or {"is_all": 1}
    return [
        *offer_named(request, "redrive", rate_per_second=USUAL_RATE, **which),
        *offer_named(request, "discard", until=until, **which),
    ]


def _show(model_admin: Any, request: HttpRequest, group: LetterGroup, newest: int) -> ShownGroup:
    query = urlencode({"type__exact": group.type, "reason__exact": group.reason})
    # A filter takes an empty name for one that is not given.
    can_choose = group.type and group.reason
    offers = (
        offers_for(request, until=newest, type=group.type, cause=group.reason) if can_choose else []
    )
    return ShownGroup(group, f"{list_url(model_admin)}?{query}", offers)
