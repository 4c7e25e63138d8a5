"""Subscriptions and projections: where they stand, and rebuilding one."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.views.main import ChangeList
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
from whizbang.models import Rebuild, Subscription
from whizbang.operations.rebuild import find_projection, request_rebuild
from whizbang.operations.status import subscription_statuses
from whizbang.store.event_store import EventStore, event_store
from whizbang_admin.read_only import ReadOnlyAdmin, count_up_to

_PERMISSION = "whizbang.rebuild_subscription"
_MOST_COUNTED = 1_000_000  # rows; beyond, the page says that there are more


class StatusChangeList(ChangeList):
    """Reads the state of all subscriptions once a page, and gives each row its own."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        statuses = {status.name: status for status in subscription_statuses()}
        may_rebuild = request.user.has_perm(_PERMISSION)
        for row in self.result_list:
            # On the rows, for the admin object itself is shared by all requests.
            row.found = statuses.get(row.name)
            row.may_rebuild = may_rebuild


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    """Position and lag of all that follows the log."""

    list_display = ("name", "kind", "status", "position", "lag", "parked", "state", "rebuild_link")
    list_display_links = None
    ordering = ("name",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return StatusChangeList

    @admin.display(description=_("lag in events"))
    def lag(self, row: Any) -> str:
        return (
            "–" if row.found is None or row.found.lag_events is None else str(row.found.lag_events)
        )

    @admin.display(description=_("parked streams"))
    def parked(self, row: Any) -> int:
        return row.found.parked if row.found else 0

    @admin.display(description=_("state"))
    def state(self, row: Any) -> str:
        if row.found is None:
            return translate("not registered any more")
        return translate("needs rebuild") if row.found.needs_rebuild else translate("current")

    @admin.display(description=_("rebuild"))
    def rebuild_link(self, row: Any) -> str:
        if row.found is None or not row.found.is_rebuildable or not row.may_rebuild:
            return ""
        url = reverse(
            "admin:whizbang_subscription_rebuild",
            args=[row.name],
            current_app=self.admin_site.name,
        )
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
        rows = None if model is None else model._base_manager.using(definition.using).all()
        request.current_app = self.admin_site.name
        context = {
            **self.admin_site.each_context(request),
            "title": translate("Rebuild %(name)s") % {"name": name},
            "opts": self.opts,
            "name": name,
            "head": store.head(),
            "rows": None if rows is None else count_up_to(rows, _MOST_COUNTED),
            "most_counted": _MOST_COUNTED,
            "open_run": _open_run(store, name),
            "is_reason_missing": request.method == "POST",
        }
        return TemplateResponse(request, "whizbang_admin/rebuild.html", context)

    def _start(self, request: HttpRequest, name: str, reason: str) -> HttpResponseBase:
        earlier = _open_run(event_store(), name)
        if earlier is not None:
            text = translate("Rebuild %(pk)s is open already; nothing was added.")
            messages.warning(request, text % {"pk": earlier.pk})
            return self._back_to_list()
        run = request_rebuild(name, requested_by=request.user.get_username(), reason=reason)
        LogEntry.objects.create(
            user_id=cast(int, request.user.pk),
            content_type=ContentType.objects.get_for_model(Subscription),
            object_id=name,
            object_repr=name[:200],
            action_flag=CHANGE,
            change_message=f"Rebuild {run.pk} requested: {reason}",
        )
        text = translate("Rebuild %(pk)s is requested; a worker does it.")
        messages.success(request, text % {"pk": run.pk})
        return self._back_to_list()

    def _back_to_list(self) -> HttpResponseBase:
        url = reverse("admin:whizbang_subscription_changelist", current_app=self.admin_site.name)
        return HttpResponseRedirect(url)


def _open_run(store: EventStore, name: str) -> Rebuild | None:
    rows = Rebuild.objects.using(store.using)
    return rows.filter(
        projection=name, status__in=(Rebuild.Status.REQUESTED, Rebuild.Status.RUNNING)
    ).first()
