"""Subscriptions and projections: where they stand, and rebuilding one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import Subscription
from whizbang.operations.rebuild import find_projection, request_rebuild
from whizbang.operations.status import SubscriptionStatus, subscription_statuses
from whizbang.store.event_store import event_store
from whizbang_admin.read_only import ReadOnlyAdmin

_PERMISSION = "whizbang.rebuild_subscription"


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    """Position and lag of all that follows the log."""

    list_display = ("name", "kind", "status", "position", "lag", "parked", "state", "rebuild_link")
    list_display_links = None
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Read the state of all once a page, not once a row."""
        self._statuses: dict[str, SubscriptionStatus] = {s.name: s for s in subscription_statuses()}
        self._may_rebuild = request.user.has_perm(_PERMISSION)
        return super().get_queryset(request)

    @admin.display(description=_("lag in events"))
    def lag(self, row: Subscription) -> str:
        status = self._statuses.get(row.name)
        return "–" if status is None or status.lag_events is None else str(status.lag_events)

    @admin.display(description=_("parked streams"))
    def parked(self, row: Subscription) -> int:
        status = self._statuses.get(row.name)
        return status.parked if status else 0

    @admin.display(description=_("state"))
    def state(self, row: Subscription) -> str:
        status = self._statuses.get(row.name)
        if status is None:
            return translate("not registered any more")
        return translate("needs rebuild") if status.needs_rebuild else translate("current")

    @admin.display(description="")
    def rebuild_link(self, row: Subscription) -> str:
        status = self._statuses.get(row.name)
        if status is None or not status.is_rebuildable or not self._may_rebuild:
            return ""
        url = reverse("admin:whizbang_subscription_rebuild", args=[row.name])
        return format_html('<a href="{}">{}</a>', url, translate("Rebuild…"))

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.rebuild_view)
        own = [path("<str:name>/rebuild/", page, name="whizbang_subscription_rebuild")]
        return [*own, *super().get_urls()]

    def rebuild_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        """Says in numbers what a rebuild will do, and asks for it on POST."""
        if not request.user.has_perm(_PERMISSION):
            raise PermissionDenied
        store = event_store()
        try:
            definition = find_projection(store, name)
        except WhizbangError as exc:
            raise Http404(str(exc)) from exc
        reason = request.POST.get("reason", "").strip()
        if request.method == "POST" and reason:
            return self._start(request, name, reason)
        model = getattr(definition.projection, "model", None)
        rows = model._base_manager.using(definition.using).count() if model is not None else None
        context = {
            **self.admin_site.each_context(request),
            "title": translate("Rebuild %(name)s") % {"name": name},
            "opts": self.opts,
            "name": name,
            "head": store.head(),
            "rows": rows,
            "is_reason_missing": request.method == "POST",
        }
        return TemplateResponse(request, "whizbang_admin/rebuild.html", context)

    def _start(self, request: HttpRequest, name: str, reason: str) -> HttpResponseBase:
        run = request_rebuild(name, requested_by=request.user.get_username(), reason=reason)
        LogEntry.objects.create(
            user_id=request.user.pk or 0,
            content_type=ContentType.objects.get_for_model(Subscription),
            object_id=name,
            object_repr=name[:200],
            action_flag=CHANGE,
            change_message=f"Rebuild {run.pk} requested: {reason}",
        )
        messages.success(
            request, translate("Rebuild %(pk)s is requested; a worker does it.") % {"pk": run.pk}
        )
        return HttpResponseRedirect(reverse("admin:whizbang_rebuild_changelist"))
