"""An aggregate as it was: version by version, and by date."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import quote
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.operations.events.states import (
    NoState,
    PastState,
    masked_state,
    state_difference,
    version_at,
)
from whizbang.store.event_store import event_store
from whizbang_admin.frame.documents import as_json, may_see_personal_data
from whizbang_admin.frame.pages import Crumb, render_page
from whizbang_admin.streams.addresses import stream_url
from whizbang_admin.streams.event import find_row

_MOST_VALUE = 5_000  # characters of one field


class TravelForm(forms.Form):
    """An instant, and which of an event's two times is meant."""

    at = forms.DateTimeField(
        label=_("As it was at"), widget=forms.DateTimeInput(attrs={"type": "datetime-local"})
    )
    by = forms.ChoiceField(
        label=_("By"),
        choices=[("recorded", _("when it was recorded")), ("occurred", _("business time"))],
    )


@dataclass(frozen=True, slots=True)
class ShownField:
    """One attribute as text; cut when it is very long."""

    name: str
    before: str
    after: str
    is_changed: bool
    is_cut: bool


def state_page(model_admin: Any, request: HttpRequest, name: str, version: int) -> HttpResponseBase:
    """The state at a version beside the one before."""
    site = model_admin.admin_site.name
    request.current_app = site
    store = event_store()
    row = find_row(store, name, version)
    problem, found = "", None
    try:
        found = state_difference(name, version, store=store)
        problem = found.problem
    except NoState as exc:
        problem = str(exc)
    is_masked = not may_see_personal_data(request.user)
    last = store.driver.stream_version(name)
    return render_page(
        model_admin,
        request,
        "whizbang_admin/streams/state.html",
        title=translate("State at version %s") % version,
        crumbs=(Crumb(name, stream_url("timeline", stream=name, site=site)),),
        stream=name,
        key=quote(name),
        row=row,
        version=version,
        last_version=last,
        found=found,
        problem=problem,
        fields=[] if found is None else _show_fields(found, is_masked),
        form=TravelForm(initial={"by": "recorded"}),
        travel_url=stream_url("travel", stream=name, site=site),
        steps=_steps(name, version, last, site),
        event_url=stream_url("event", version, stream=name, site=site),
    )


def travel(model_admin: Any, request: HttpRequest, name: str) -> HttpResponseBase:
    """To the version that a stream had at an instant."""
    site = model_admin.admin_site.name
    store = event_store()
    last = store.driver.stream_version(name)
    if not last:
        raise Http404(f"Stream {name} has no events.")
    form = TravelForm(request.GET)
    version = 0
    if not form.is_valid():
        messages.error(request, translate("Give a date and time."))
    else:
        instants = {form.cleaned_data["by"]: form.cleaned_data["at"]}
        version = version_at(name, store=store, **instants)
        if not version:
            messages.warning(request, translate("Nothing had happened by then."))
    return HttpResponseRedirect(stream_url("state", version or last, stream=name, site=site))


def _steps(name: str, version: int, last: int, site: str) -> list[tuple[str, str]]:
    """Links to other versions."""
    places = [
        (translate("First version"), 1, version > 1),
        (translate("Version before"), version - 1, version > 1),
        (translate("Next version"), version + 1, version < last),
        (translate("Last version"), last, version < last),
    ]
    return [
        (text, stream_url("state", number, stream=name, site=site))
        for text, number, is_there in places
        if is_there
    ]


def _show_fields(found: PastState, is_masked: bool) -> list[ShownField]:
    fields = found.fields
    if is_masked:
        before = masked_state(found.stream, {field.name: field.before for field in fields})
        after = masked_state(found.stream, {field.name: field.after for field in fields})
        fields = [replace(f, before=before[f.name], after=after[f.name]) for f in fields]
    return [_show_field(field) for field in fields]


def _show_field(field: Any) -> ShownField:
    before, after = as_json(field.before), as_json(field.after)
    is_cut = max(len(before), len(after)) > _MOST_VALUE
    return ShownField(
        field.name, before[:_MOST_VALUE], after[:_MOST_VALUE], field.is_changed, is_cut
    )
