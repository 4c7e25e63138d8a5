"""The pages on which a copy of a dead letter is edited: a form, then the difference and a question."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import DeadLetter
from whizbang.operations.actions import By, ChangedMeanwhile, perform
from whizbang.operations.actions.dead_letters import EditLetter
from whizbang.operations.actions.perform import needs_approval
from whizbang.operations.letter_edits import editable_letter, encode_edited
from whizbang_admin.actions.page import DecisionForm, note_in_admin
from whizbang_admin.frame.difference import difference, pretty
from whizbang_admin.frame.documents import may_see_payload
from whizbang_admin.frame.pages import Crumb, ReasonForm, back_to_list, list_url, render_page
from whizbang_admin.messages.letter import find_letter
from whizbang_admin.messages.things import page_url

_CONFLICT = 409


class EditForm(ReasonForm):
    """The payload as JSON, and why it is another one."""

    payload = forms.CharField(
        label=_("Payload"),
        strip=False,
        widget=forms.Textarea(attrs={"class": "vLargeTextField wb-code", "spellcheck": "false"}),
    )
    field_order = ("payload", "reason")

    def __init__(self, data: Any, *, letter: DeadLetter, **known: Any) -> None:
        super().__init__(data, **known)
        self._letter = letter

    def clean_payload(self) -> Any:
        try:
            plain = json.loads(self.cleaned_data["payload"])
            encode_edited(self._letter, plain)
        except (ValueError, RecursionError) as exc:
            raise forms.ValidationError(translate("This is no JSON: %s") % exc) from exc
        except WhizbangError as exc:
            raise forms.ValidationError(str(exc)) from exc
        return plain


def edit_page(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponseBase:
    """Shows the form, for a valid one the difference, and edits on a POST that confirms it."""
    may_edit = request.user.has_perm(EditLetter.permission)
    if not (may_edit and model_admin.has_view_permission(request)):
        raise PermissionDenied
    letter = find_letter(model_admin, request, str(pk))
    if letter is None:
        messages.warning(request, translate("This dead letter is gone: somebody decided about it."))
        return back_to_list(model_admin)
    try:
        payload, problem = editable_letter(letter)
    except WhizbangError as exc:
        messages.error(request, str(exc))
        return back_to_list(model_admin)
    if not may_see_payload(request.user, letter.type):
        raise PermissionDenied  # the form has the payload as it is
    before, data = pretty(payload), request.POST if request.method == "POST" else None
    form = EditForm(data, letter=letter, initial={"payload": before})
    if not form.is_valid() or "again" in request.POST:
        return _render(model_admin, request, letter, form=form, problem=problem)
    action = EditLetter(letter=letter.pk, payload=form.cleaned_data["payload"])
    decision = DecisionForm(request.POST)
    if "confirmed" not in request.POST or not decision.is_valid():
        return _ask(model_admin, request, letter, form, action, before)
    try:
        return _edit(model_admin, request, action, decision)
    except ChangedMeanwhile as exc:
        response = _ask(model_admin, request, letter, form, action, before, refused=str(exc))
        response.status_code = _CONFLICT
        return response


def _edit(
    model_admin: Any, request: HttpRequest, action: EditLetter, decision: forms.Form
) -> HttpResponseBase:
    given = decision.cleaned_data
    by = By(request.user.get_username(), given["reason"])
    try:
        performed = perform(action, by, token=given["token"], seen=given["seen"])
    except ChangedMeanwhile:
        raise
    except WhizbangError as exc:
        messages.error(request, str(exc))
        return back_to_list(model_admin)
    if performed.is_new:
        note_in_admin(model_admin, request, action, by, performed)
    if performed.is_done:
        messages.success(request, translate("The edited message goes on again."))
    else:
        messages.info(request, performed.text)
    return back_to_list(model_admin)


def _ask(
    model_admin: Any,
    request: HttpRequest,
    letter: DeadLetter,
    form: EditForm,
    action: EditLetter,
    before: str,
    refused: str = "",
) -> HttpResponseBase:
    return _render(
        model_admin,
        request,
        letter,
        form=form,
        decision=DecisionForm(initial={"token": uuid4(), "seen": action.state()}),
        difference=difference(before, pretty(action.payload)),
        needs_approval=needs_approval(action),
        refused=refused,
    )


def _render(
    model_admin: Any, request: HttpRequest, letter: DeadLetter, **context: Any
) -> HttpResponseBase:
    is_asking = "difference" in context
    letter_url = page_url(model_admin, "deadletter", "change", letter.pk)
    return render_page(
        model_admin,
        request,
        "whizbang_admin/messages/edit_letter.html",
        title=translate("Redrive an edited copy of dead letter %s") % letter.pk,
        crumbs=(Crumb(translate("Dead letter %s") % letter.pk, letter_url),),
        letter=letter,
        is_asking=is_asking,
        verb=translate("Redrive the edited copy") if is_asking else translate("Show the changes"),
        back_url=list_url(model_admin),
        **context,
    )
