"""The pages on which a copy of a dead letter is edited: a form, then the difference and a question."""

from __future__ import annotations

import difflib
import json
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import DeadLetter
from whizbang.operations.letter_edits import edit_dead_letter, editable_letter, encode_edited
from whizbang.store.event_store import event_store
from whizbang_admin.frame.pages import ReasonForm, back_to_list, list_url, render_page

EDIT_PERMISSION = "whizbang.edit_deadletter"


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
    may_edit = request.user.has_perm(EDIT_PERMISSION)
    if not (may_edit and model_admin.has_view_permission(request)):
        raise PermissionDenied
    letter = model_admin.get_queryset(request).defer(None).filter(pk=pk).first()
    if letter is None:
        messages.warning(request, translate("These dead letters are gone."))
        return back_to_list(model_admin)
    try:
        payload, problem = editable_letter(letter)
    except WhizbangError as exc:
        messages.error(request, str(exc))
        return back_to_list(model_admin)
    before, data = _pretty(payload), request.POST if request.method == "POST" else None
    form = EditForm(data, letter=letter, initial={"payload": before})
    if not form.is_valid() or "again" in request.POST:
        return _render(model_admin, request, letter, form=form, problem=problem)
    after = form.cleaned_data["payload"]
    if "confirmed" not in request.POST:
        difference = _difference(before, _pretty(after))
        return _render(model_admin, request, letter, form=form, difference=difference)
    _edit(model_admin, request, letter, after, form.cleaned_data["reason"])
    return back_to_list(model_admin)


def _edit(
    model_admin: Any, request: HttpRequest, letter: DeadLetter, payload: Any, reason: str
) -> None:
    operator = request.user.get_username()
    try:
        with transaction.atomic(using=event_store().using):
            done = edit_dead_letter(letter.pk, payload, reason=reason, operator=operator)
            model_admin.log_change(request, letter, f"Edited and redriven: {reason}")
            if done.row is not None:
                story = f"Edited copy of dead letter {letter.pk}: {reason}"
                model_admin.log_change(request, done.row, story)
    except WhizbangError as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, translate("The edited message goes on again."))


def _render(
    model_admin: Any, request: HttpRequest, letter: DeadLetter, **context: Any
) -> HttpResponseBase:
    is_asking = "difference" in context
    return render_page(
        model_admin,
        request,
        "whizbang_admin/edit_letter.html",
        title=translate("Redrive an edited copy of dead letter %s") % letter.pk,
        letter=letter,
        is_asking=is_asking,
        verb=translate("Redrive the edited copy") if is_asking else translate("Show the changes"),
        back_url=list_url(model_admin),
        **context,
    )


def _pretty(payload: Any) -> str:
    return json.dumps(payload, indent=2, ensure_ascii=False)


def _difference(before: str, after: str) -> list[tuple[str, str]]:
    """The lines with what they are: "+", "-" or " "."""
    lines = difflib.ndiff(before.splitlines(), after.splitlines())
    return [(line[0], line[2:]) for line in lines if line[0] != "?"]
