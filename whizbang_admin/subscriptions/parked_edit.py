"""The pages on which a copy of a parked event is edited: a form, then the difference and a question."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.contrib import messages
from django.contrib.admin.utils import quote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import ParkedStream
from whizbang.operations.actions import By, ChangedMeanwhile
from whizbang.operations.actions.editing import EDIT_PERMISSION, edit_state, perform_edit
from whizbang.operations.edits import Editable, check_edit, editable_payload
from whizbang_admin.actions.page import DecisionForm
from whizbang_admin.frame.difference import difference, pretty
from whizbang_admin.frame.documents import may_see_payload
from whizbang_admin.frame.pages import Crumb, render_page

_CONFLICT = 409


class EditForm(DecisionForm):
    """The payload as JSON, why it is another one, and what was seen."""

    payload = forms.CharField(
        label=_("Payload"),
        strip=False,
        widget=forms.Textarea(
            attrs={"class": "vLargeTextField wb-code", "spellcheck": "false", "rows": 20}
        ),
    )
    field_order = ("payload", "reason")

    def __init__(self, data: Any, *, row: ParkedStream, **known: Any) -> None:
        super().__init__(data, **known)
        self._row = row

    def clean_payload(self) -> Any:
        try:
            plain = json.loads(self.cleaned_data["payload"])
            check_edit(self._row.subscription, stream=self._row.stream, payload=plain)
        except (ValueError, RecursionError) as exc:
            raise forms.ValidationError(translate("This is no JSON: %s") % exc) from exc
        except WhizbangError as exc:
            raise forms.ValidationError(str(exc)) from exc
        return plain


def edit_page(model_admin: Any, request: HttpRequest, pk: int) -> HttpResponseBase:
    """Shows the form, for a valid one the difference, and edits on a POST that confirms it."""
    if not request.user.has_perm(EDIT_PERMISSION):
        raise PermissionDenied
    row: ParkedStream = model_admin.row_or_404(request, str(pk))
    if not may_edit(request, row):
        raise PermissionDenied
    page = _Page(model_admin, request, row)
    try:
        found = editable_payload(row.subscription, stream=row.stream)
    except WhizbangError as exc:
        messages.error(request, str(exc))
        return HttpResponseRedirect(page.back_url)
    before = pretty(found.payload)
    if request.method != "POST":
        return page.ask(found, page.fresh_form(before))
    form = EditForm(request.POST, row=row)
    if not form.is_valid() or "again" in request.POST:
        return page.ask(found, form)
    if "confirmed" not in request.POST:
        return page.confirm(form, before)
    return page.edit(found, form)


def may_edit(request: HttpRequest, row: ParkedStream) -> bool:
    """Who edits a payload sees all of it, personal fields too."""
    return request.user.has_perm(EDIT_PERMISSION) and may_see_payload(request.user, row.type)


class _Page:
    def __init__(self, model_admin: Any, request: HttpRequest, row: ParkedStream) -> None:
        self._admin, self._request, self._row = model_admin, request, row
        self.back_url = model_admin.url_of("change", quote(row.pk))

    def fresh_form(self, payload: str, reason: str = "") -> EditForm:
        row = self._row
        known = {
            "payload": payload,
            "reason": reason,
            "token": uuid4(),
            "seen": edit_state(row.subscription, row.stream),
        }
        return EditForm(None, row=row, initial=known)

    def ask(
        self, found: Editable, form: EditForm, *, problem: str = "", status: int = 200
    ) -> HttpResponseBase:
        verb = translate("Show the changes")
        return self._render(status, form=form, found=found, problem=problem, verb=verb)

    def confirm(self, form: EditForm, before: str) -> HttpResponseBase:
        changed = difference(before, pretty(form.cleaned_data["payload"]))
        verb = translate("Apply the edited copy")
        return self._render(200, form=form, difference=changed, is_asking=True, verb=verb)

    def edit(self, found: Editable, form: EditForm) -> HttpResponseBase:
        row, request = self._row, self._request
        by = By(request.user.get_username(), form.cleaned_data["reason"])
        token: UUID = form.cleaned_data["token"]
        payload = form.cleaned_data["payload"]
        try:
            edit = perform_edit(
                row.subscription,
                row.stream,
                payload,
                by,
                token=token,
                seen=form.cleaned_data["seen"],
            )
        except ChangedMeanwhile as exc:
            fresh = self.fresh_form(pretty(payload), by.reason)
            return self.ask(found, fresh, problem=str(exc), status=_CONFLICT)
        except WhizbangError as exc:
            messages.error(request, str(exc))
            return HttpResponseRedirect(self.back_url)
        if edit is not None:
            self._admin.log_change(
                request, row, f"Edited copy of version {edit.version}: {by.reason}"
            )
        messages.success(
            request, translate("A worker tries the stream again with the edited copy.")
        )
        return HttpResponseRedirect(self.back_url)

    def _render(self, status: int, **context: Any) -> HttpResponseBase:
        response = render_page(
            self._admin,
            self._request,
            "whizbang_admin/subscriptions/edit_parked.html",
            title=translate("Edit a copy of the event"),
            crumbs=(Crumb(str(self._row), self.back_url),),
            row=self._row,
            back_url=self.back_url,
            **context,
        )
        response.status_code = status
        return response
