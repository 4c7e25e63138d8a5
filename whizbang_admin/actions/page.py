"""The page that does an action: it says in numbers what will happen, asks why, and does it once.

Options are part of its address: with them it shows what would happen, and only then it can be done. What it
shows of the target's state is sent back with the form: an action on what has changed since is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate

from whizbang.exceptions import WhizbangError
from whizbang.operations.actions import (
    Action,
    By,
    ChangedMeanwhile,
    Performed,
    UnknownAction,
    action_class,
    perform,
    read_action,
)
from whizbang.operations.actions.perform import needs_approval
from whizbang.store.event_store import event_store
from whizbang_admin.actions.forms import options_form
from whizbang_admin.actions.links import BACK, back_from, list_instead
from whizbang_admin.frame.exports import plain_columns
from whizbang_admin.frame.pages import ReasonForm, list_url, render_page

_CONFLICT, _REFUSED = 409, 400


class DecisionForm(ReasonForm):
    """The reason, which form it is, and what was seen when it was made."""

    token = forms.UUIDField(widget=forms.HiddenInput)
    seen = forms.JSONField(
        widget=forms.HiddenInput, required=False
    )  # {} where nothing is to be seen

    def __init__(self, *args: Any, needs_reason: bool = True, **known: Any) -> None:
        super().__init__(*args, **known)
        self.fields["reason"].required = needs_reason

    def clean_seen(self) -> dict[str, str]:
        seen = self.cleaned_data["seen"]
        if not (isinstance(seen, dict) and all(isinstance(v, str) for v in seen.values())):
            raise forms.ValidationError(translate("This page was changed; open it again."))
        return seen


def action_page(
    model_admin: admin.ModelAdmin[Any], request: HttpRequest, name: str
) -> HttpResponseBase:
    """GET shows what would happen, POST does it and leads back to where somebody came from."""
    try:
        cls = action_class(name)
    except UnknownAction as exc:
        raise Http404(str(exc)) from exc
    if not request.user.has_perm(cls.permission):
        raise PermissionDenied
    given = {key: value for key, value in request.GET.dict().items() if key != BACK and value}
    form_class = options_form(name)
    options = None if form_class is None else form_class(given if given else None, initial=given)
    try:
        action = read_action(name, _parameters(given, options))
        if request.method == "POST":
            return _do(model_admin, request, action, options)
        return _show(model_admin, request, action, options)
    except UnknownAction as exc:
        if options is None:
            raise Http404(str(exc)) from exc
        return _render(model_admin, request, cls, options=options)
    except WhizbangError as exc:
        return _render(
            model_admin, request, cls, options=options, problem=str(exc), status=_REFUSED
        )


def _parameters(given: Mapping[str, Any], options: forms.Form | None) -> dict[str, Any]:
    """From the address; options as their form reads them. Raises UnknownAction while they are not all right."""
    if options is None:
        return dict(given)
    if not options.is_valid():
        raise UnknownAction("options")
    read = {k: v for k, v in options.cleaned_data.items() if v not in (None, "", [])}
    return {k: v for k, v in given.items() if k not in options.fields} | read


def _show(
    model_admin: Any,
    request: HttpRequest,
    action: Action,
    options: forms.Form | None,
    *,
    form: DecisionForm | None = None,
    problem: str = "",
    status: int = 200,
) -> HttpResponseBase:
    if form is None:
        form = DecisionForm(
            initial={"token": uuid4(), "seen": action.state()}, needs_reason=action.needs_reason
        )
    action.check()
    return _render(
        model_admin,
        request,
        type(action),
        options=options,
        problem=problem,
        status=status,
        action=action,
        facts=action.facts(),
        form=form,
        needs_approval=needs_approval(action),
    )


def _render(
    model_admin: Any, request: HttpRequest, cls: type[Action], *, status: int = 200, **context: Any
) -> HttpResponseBase:
    action = context.get("action")
    asked_of = request.GET.get("subscription", "")  # while its options are not all right yet
    target = action.target() if action is not None else asked_of and f"subscription {asked_of}"
    title = f"{cls.label}: {target}" if target else str(cls.label)
    response = render_page(
        model_admin,
        request,
        "whizbang_admin/action.html",
        title=title,
        verb=str(cls.label),
        back=request.GET.get(BACK, ""),
        back_url=back_from(request, otherwise=list_url(model_admin)),
        **context,
    )
    response.status_code = status
    return response


def _do(
    model_admin: Any, request: HttpRequest, action: Action, options: forms.Form | None
) -> HttpResponseBase:
    form = DecisionForm(request.POST, needs_reason=action.needs_reason)
    if not form.is_valid():
        return _show(model_admin, request, action, options, form=form)
    by = By(request.user.get_username(), form.cleaned_data["reason"])
    token: UUID = form.cleaned_data["token"]
    try:
        performed = perform(action, by, token=token, seen=form.cleaned_data["seen"])
    except ChangedMeanwhile as exc:
        fresh = DecisionForm(
            initial={"token": uuid4(), "seen": action.state(), "reason": by.reason},
            needs_reason=action.needs_reason,
        )
        return _show(
            model_admin, request, action, options, form=fresh, problem=str(exc), status=_CONFLICT
        )
    if performed.is_new:
        note_in_admin(model_admin, request, action, by, performed)
    tell = messages.success if performed.is_done else messages.info
    tell(request, performed.text)
    back = back_from(request, otherwise=list_url(model_admin))
    return HttpResponseRedirect(list_instead(back))


def note_in_admin(
    model_admin: Any, request: HttpRequest, action: Action, by: By, performed: Performed
) -> None:
    """In the log of Django's admin: on the row that it is about, else on what was recorded or requested."""
    about = action.about()
    row: Any = performed.record or performed.request
    said = {"action": action.name, "target": action.target(), "reason": by.reason}
    text = json.dumps(said | {"result": performed.text})
    if about is None:
        if row is not None:
            model_admin.log_change(request, row, text)
        return
    model, key = about
    rows = model._base_manager.using(event_store().using).only(*plain_columns(model, ()))
    found = rows.filter(pk=key).first()  # it may be gone
    LogEntry.objects.create(
        user_id=request.user.pk,  # type: ignore[misc]
        content_type=ContentType.objects.get_for_model(model, for_concrete_model=False),
        object_id=str(key),
        object_repr=(action.target() if found is None else str(found))[:200],
        action_flag=CHANGE,
        change_message=text,
    )
