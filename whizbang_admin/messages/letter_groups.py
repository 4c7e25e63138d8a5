"""Dead letters by type and reason, which one sees first; and redriving all of a group."""

from __future__ import annotations

from typing import Any, NamedTuple

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import Redrive
from whizbang.operations.dead_letters import LetterGroup, group_dead_letters
from whizbang.operations.letter_filter import LetterFilter
from whizbang.operations.redrive import request_redrive
from whizbang.store.event_store import event_store
from whizbang_admin.frame.keyset import MOST_COUNTED, count_up_to
from whizbang_admin.frame.pages import ReasonForm, back_to_list, list_url, render_page
from whizbang_admin.messages.letter_decisions import REDRIVE_PERMISSION

_MOST_GROUPS = 200


class ShownGroup(NamedTuple):
    """A group, with the addresses of its letters and of the page that redrives them."""

    group: LetterGroup
    url: str
    redrive_url: str


class RedriveForm(ReasonForm):
    """How fast, how far, and why."""

    rate = forms.FloatField(
        label=_("Messages a second, at most"),
        min_value=0.001,
        max_value=10_000,
        initial=10,
        widget=forms.NumberInput(attrs={"class": "vIntegerField", "step": "any"}),
    )
    is_keeping_going = forms.BooleanField(
        label=_("Go on past messages that die again (but for the first)"), required=False
    )
    field_order = ("rate", "is_keeping_going", "reason")


def groups_page(model_admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Counts by type and reason, each with a way to its letters."""
    if not model_admin.has_view_permission(request):
        raise PermissionDenied
    groups = group_dead_letters(limit=_MOST_GROUPS)
    may_redrive = request.user.has_perm(REDRIVE_PERMISSION)
    return render_page(
        model_admin,
        request,
        "whizbang_admin/letter_groups.html",
        title=translate("Dead letters by type and reason"),
        groups=[_show(model_admin, group, may_redrive) for group in groups],
        is_cut=len(groups) == _MOST_GROUPS,
        all_url=f"{list_url(model_admin)}?all=1",
        redrive_url=matching_url(model_admin) if may_redrive else "",
    )


def matching_url(model_admin: Any, **chosen: str) -> str:
    """Of the page that redrives what `type` and `reason` choose."""
    url = reverse(
        "admin:whizbang_deadletter_redrive_matching", current_app=model_admin.admin_site.name
    )
    return f"{url}?{urlencode(chosen)}" if chosen else url


def _show(model_admin: Any, group: LetterGroup, may_redrive: bool) -> ShownGroup:
    query = urlencode({"type__exact": group.type, "reason__exact": group.reason})
    # A filter takes an empty name for one that is not given.
    can_choose = may_redrive and group.type and group.reason
    redrive_url = (
        matching_url(model_admin, type=group.type, reason=group.reason) if can_choose else ""
    )
    return ShownGroup(group, f"{list_url(model_admin)}?{query}", redrive_url)


def redrive_matching_page(model_admin: Any, request: HttpRequest) -> HttpResponseBase:
    """Asks how fast and why; a worker does it."""
    may_redrive = request.user.has_perm(REDRIVE_PERMISSION)
    if not (may_redrive and model_admin.has_view_permission(request)):
        raise PermissionDenied
    chosen = LetterFilter(type=request.GET.get("type", ""), reason=request.GET.get("reason", ""))
    form = RedriveForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        return _request(model_admin, request, chosen, form.cleaned_data)
    return render_page(
        model_admin,
        request,
        "whizbang_admin/redrive_matching.html",
        title=translate("Redrive dead letters"),
        chosen=chosen,
        count=count_up_to(chosen.rows(event_store().using), MOST_COUNTED),
        most_counted=MOST_COUNTED,
        form=form,
        verb=translate("Redrive"),
        back_url=list_url(model_admin),
    )


def _request(
    model_admin: Any, request: HttpRequest, chosen: LetterFilter, given: dict[str, Any]
) -> HttpResponseBase:
    try:
        with transaction.atomic(using=event_store().using):
            run = request_redrive(
                chosen,
                rate_per_second=given["rate"],
                is_keeping_going=given["is_keeping_going"],
                requested_by=request.user.get_username(),
                reason=given["reason"],
            )
            model_admin.log_change(request, run, f"Requested: {given['reason']}")
    except WhizbangError as exc:
        messages.error(request, str(exc))
        return back_to_list(model_admin)
    messages.success(request, translate("Redrive %s is requested; a worker does it.") % run.pk)
    if not request.user.has_perm(f"whizbang.view_{Redrive._meta.model_name}"):
        return back_to_list(model_admin)
    name = model_admin.admin_site.name
    url = reverse("admin:whizbang_redrive_change", args=[run.pk], current_app=name)
    return HttpResponseRedirect(url)
