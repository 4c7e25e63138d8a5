"""What operators asked for: deciding about it as the second person, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import ActionRequest
from whizbang.operations.actions import (
    Action,
    By,
    Fact,
    action_class,
    approve,
    read_action,
    refuse,
    withdraw,
)
from whizbang.operations.actions.requests import is_asked_by
from whizbang.store.event_store import event_store
from whizbang_admin.frame.documents import (
    HIDDEN,
    may_see_payload,
    may_see_personal_data,
    show_text,
)
from whizbang_admin.frame.pages import Crumb, ReasonForm, render_page
from whizbang_admin.frame.read_only import ReadOnlyAdmin

APPROVE_PERMISSION = "whizbang.approve_actionrequest"


class Decision(NamedTuple):
    """One way to decide about a request."""

    verb: str
    label: Callable[[], str]
    act: Callable[[int, By], ActionRequest]


DECISIONS = {
    decision.verb: decision
    for decision in (
        Decision("approve", lambda: translate("Approve"), approve),
        Decision("refuse", lambda: translate("Refuse"), refuse),
        Decision("withdraw", lambda: translate("Take back"), withdraw),
    )
}


@admin.register(ActionRequest)
class ActionRequestAdmin(ReadOnlyAdmin):
    """Requests, the newest first; those that wait for approval have a page to decide on."""

    list_display = ("id", "action", "target", "status", "requested_by", "requested_at", "decide")
    list_filter = ("status",)
    fields = (
        "action",
        "target",
        "status",
        "facts",
        "reason",
        "requested_by",
        "requested_at",
        "decided_by",
        "decision",
        "decided_at",
        "started_at",
        "finished_at",
        "result",
        "found",
        "problem",
        "decide",
    )
    readonly_fields = ("facts", "found", "hidden", "problem", "decide")
    deferred = ("document", "seen", "error")
    ordering = ("-id",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """What was found is hidden where it may have personal values in it."""
        hides = obj is not None and not _may_see_found(request, obj)
        return ["hidden" if hides and name == "found" else name for name in self.fields]

    @admin.display(description=_("parameters"))
    def facts(self, row: ActionRequest) -> str:
        """Without payloads: the page that decides shows them to those who may see them."""
        return show_text(_as_text(_without_payloads(row)), label=translate("parameters"))

    @admin.display(description=_("found"))
    def found(self, row: ActionRequest) -> str:
        text = "" if row.document is None else _as_text(row.document)
        return show_text(text, label=translate("found"))

    @admin.display(description=_("found"))
    def hidden(self, row: ActionRequest) -> str:
        return "–" if row.document is None else str(HIDDEN)

    @admin.display(description=_("error"))
    def problem(self, row: ActionRequest) -> str:
        return show_text(row.error, label=translate("error"))

    @admin.display(description=_("decide"))
    def decide(self, row: ActionRequest) -> str:
        if row.status != ActionRequest.Status.WAITING:
            return "–"
        url = reverse(
            "admin:whizbang_actionrequest_decide",
            args=[row.pk],
            current_app=self.admin_site.name,
        )
        return format_html('<a href="{}">{}</a>', url, translate("Decide…"))

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.decide_view)
        own = [path("<int:pk>/decide/", page, name="whizbang_actionrequest_decide")]
        return [*own, *super().get_urls()]

    def decide_view(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """What would happen, and a form with the decisions that this user may take."""
        found = ActionRequest.objects.using(event_store().using).filter(pk=pk).first()
        if found is None:
            raise Http404
        allowed = self._allowed(request, found)
        if not allowed:
            raise PermissionDenied
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            decision = allowed.get(request.POST.get("decision", ""))
            if decision is None:
                raise PermissionDenied
            return self._act(request, found, decision, form.cleaned_data["reason"])
        facts, problem = _facts_of(found)
        return render_page(
            self,
            request,
            "whizbang_admin/decide.html",
            title=translate("Decide about request %s") % pk,
            crumbs=(Crumb(str(found)),),
            asked=found,
            facts=facts,
            problem=problem,
            parameters=_as_text(_shown_parameters(request, found)),
            form=form,
            decisions=[(name, decision.label()) for name, decision in allowed.items()],
        )

    def _allowed(self, request: HttpRequest, found: ActionRequest) -> dict[str, Decision]:
        """One's own request can be taken back; another's needs the right to approve and to do it oneself.

        Nobody approves a payload that they may not see.
        """
        if is_asked_by(found, request.user.get_username()):
            return {"withdraw": DECISIONS["withdraw"]}
        may_approve = request.user.has_perm(APPROVE_PERMISSION)
        if not may_approve:
            return {}
        try:
            may_do = request.user.has_perm(action_class(found.action).permission)
        except WhizbangError:  # an action of another version of the code
            may_do = False
        may_do = may_do and _may_see_payloads(request, found)
        names = ("approve", "refuse") if may_do else ("refuse",)
        return {name: DECISIONS[name] for name in names}

    def _act(
        self, request: HttpRequest, found: ActionRequest, decision: Decision, reason: str
    ) -> HttpResponseBase:
        by = By(request.user.get_username(), reason)
        try:
            decided = decision.act(found.pk, by)
        except WhizbangError as exc:
            messages.error(request, str(exc))
        else:
            self.log_change(request, decided, f"{decision.label()}: {reason}")
            messages.success(request, f"{decided}. {decided.result}".strip())
        name = self.admin_site.name
        url = reverse("admin:whizbang_actionrequest_changelist", current_app=name)
        return HttpResponseRedirect(url)


def _facts_of(found: ActionRequest) -> tuple[list[Fact], str]:
    """What would happen now; and why it cannot, where it cannot any more."""
    try:
        action: Action = read_action(found.action, found.parameters)
        action.check()
        return list(action.facts()), ""
    except WhizbangError as exc:
        return [], str(exc)


def _shown_parameters(request: HttpRequest, found: ActionRequest) -> dict[str, Any]:
    may_see = request.user.has_perm("whizbang.view_deadletter")
    may_see = may_see and _may_see_payloads(request, found)
    return found.parameters if may_see else _without_payloads(found)


def _may_see_payloads(request: HttpRequest, found: ActionRequest) -> bool:
    """May this user see what it has of payloads? The message that is about tells their type, while it is there."""
    try:
        if not action_class(found.action).payloads:
            return True
        about = read_action(found.action, found.parameters).about()
    except (
        WhizbangError
    ):  # an action of another version of the code, or one whose payload is forgotten
        about = None
    if about is None:
        return may_see_personal_data(request.user)
    model, pk = about
    rows = model._base_manager.using(event_store().using).filter(pk=pk)
    return may_see_payload(request.user, rows.values_list("type", flat=True).first() or "")


def _may_see_found(request: HttpRequest, found: ActionRequest) -> bool:
    if may_see_personal_data(request.user):
        return True
    try:
        return not action_class(found.action).finds_values
    except WhizbangError:  # an action of another version of the code
        return False


def _without_payloads(found: ActionRequest) -> dict[str, Any]:
    try:
        payloads = action_class(found.action).payloads
    except WhizbangError:  # an action of another version of the code: perhaps all of it is one
        return {}
    return {name: value for name, value in found.parameters.items() if name not in payloads}


def _as_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)
