"""Subscriptions and projections: where they stand, and rebuilding one."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import Partition, Rebuild, Subscription
from whizbang.operations.rebuild import find_projection, open_rebuild, request_rebuild
from whizbang.operations.rebuild.twin import TWIN
from whizbang.operations.status import RebuildStatus, first_line, subscription_statuses
from whizbang.store.event_store import event_store
from whizbang_admin.frame.documents import show_text
from whizbang_admin.frame.keyset import KeysetChangeList, count_up_to
from whizbang_admin.frame.pages import ReasonForm, back_to_list, list_url, render_page
from whizbang_admin.frame.read_only import ReadOnlyAdmin

_PERMISSION = "whizbang.rebuild_subscription"
_MOST_PARTITIONS = 100  # that a page lists
_MOST_COUNTED = 1_000_000  # rows; beyond, the page says that there are more


class StatusChangeList(KeysetChangeList):
    """Reads the state of all subscriptions once a page, and gives each row its own."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        statuses = {status.name: status for status in subscription_statuses()}
        may = {
            name: request.user.has_perm(permission)
            for name, permission in (
                ("may_rebuild", _PERMISSION),
                ("may_view_rebuilds", "whizbang.view_rebuild"),
                ("may_view_parked", "whizbang.view_parkedstream"),
            )
        }
        for row in self.result_list:
            # On the rows, for the admin object itself is shared by all requests.
            row.found = statuses.get(row.name)
            vars(row).update(may)


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    """Position and lag of all that follows the log."""

    list_display = (
        "name",
        "kind",
        "state",
        "lag",
        "parked",
        "rebuild_link",
        "last_rebuild",
        "position",
    )
    ordering = ("name",)
    fields = (
        "name",
        "kind",
        "status",
        "partitions",
        "version",
        "store_id",
        "updated_at",
        "problem",
    )
    readonly_fields = ("partitions", "problem")

    def get_queryset(self, request: HttpRequest) -> Any:
        """Without the tables beside live ones: rebuilds tell of them."""
        return super().get_queryset(request).exclude(kind=TWIN)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return StatusChangeList

    @admin.display(description=_("lag"))
    def lag(self, row: Any) -> str:
        return (
            "–" if row.found is None or row.found.lag_events is None else str(row.found.lag_events)
        )

    @admin.display(description=_("position"))
    def position(self, row: Any) -> str:
        if row.found is None or row.found.position is None:
            return "–"
        count = len(row.found.partitions)
        if count == 1:
            return str(row.found.position)
        text = translate("%(position)s in %(count)s partitions")
        return text % {"position": row.found.position, "count": count}

    @admin.display(description=_("partitions"))
    def partitions(self, row: Subscription) -> str:
        """Position of each, by slices."""
        rows = Partition.objects.using(row._state.db).filter(subscription=row.name)
        text = translate("%(first)s–%(end)s at position %(position)s")
        stands = [
            text % {"first": part.first_slice, "end": part.end_slice, "position": part.position}
            for part in rows.order_by("first_slice")[:_MOST_PARTITIONS]
        ]
        return format_html_join(mark_safe("<br>"), "{}", ((stand,) for stand in stands)) or "–"

    @admin.display(description=_("parked"))
    def parked(self, row: Any) -> Any:
        count = row.found.parked if row.found else 0
        if not count or not row.may_view_parked:
            return count
        url = reverse("admin:whizbang_parkedstream_changelist", current_app=self.admin_site.name)
        query = urlencode({"subscription": row.name})
        return format_html('<a href="{}?{}">{}</a>', url, query, count)

    @admin.display(description=_("state"))
    def state(self, row: Any) -> str:
        if row.found is None:
            return translate("not registered any more")
        if row.error:
            return translate("stopped: %(error)s") % {"error": first_line(row.error)}
        if row.status != Subscription.Status.ACTIVE:
            return str(row.get_status_display())
        return translate("needs rebuild") if row.found.needs_rebuild else translate("current")

    @admin.display(description=_("last rebuild"))
    def last_rebuild(self, row: Any) -> str:
        run = row.found.rebuild if row.found else None
        if run is None:
            return "–"
        text = _say_rebuild(run)
        if not row.may_view_rebuilds:
            return text
        url = reverse(
            "admin:whizbang_rebuild_change", args=[run.id], current_app=self.admin_site.name
        )
        return format_html('<a href="{}">{}</a>', url, text)

    @admin.display(description=_("rebuild"))
    def rebuild_link(self, row: Any) -> str:
        if row.found is None or not row.found.is_rebuildable or not row.may_rebuild:
            return ""
        url = reverse(
            "admin:whizbang_subscription_rebuild",
            args=[quote(row.name)],
            current_app=self.admin_site.name,
        )
        return format_html('<a href="{}">{}</a>', url, translate("Rebuild…"))

    @admin.display(description=_("error"))
    def problem(self, row: Subscription) -> str:
        return show_text(row.error, label=translate("error"))

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.rebuild_view)
        own = [path("<str:name>/rebuild/", page, name="whizbang_subscription_rebuild")]
        return [*own, *super().get_urls()]

    def rebuild_view(self, request: HttpRequest, name: str) -> HttpResponseBase:
        """Says in numbers what a rebuild will do, and asks for it on POST."""
        if not request.user.has_perm(_PERMISSION):
            raise PermissionDenied
        store, name = event_store(), unquote(name)
        try:
            definition = find_projection(store, name)
        except WhizbangError as exc:
            raise Http404(str(exc)) from exc
        form = ReasonForm(request.POST if request.method == "POST" else None)
        if form.is_valid():
            return self._request(request, name, form.cleaned_data["reason"])
        model = getattr(definition.projection, "model", None)
        rows = None if model is None else model._base_manager.using(definition.using).all()
        return render_page(
            self,
            request,
            "whizbang_admin/rebuild.html",
            title=translate("Rebuild %(name)s") % {"name": name},
            head=store.head(),
            rows=None if rows is None else count_up_to(rows, _MOST_COUNTED),
            most_counted=_MOST_COUNTED,
            open_run=open_rebuild(store, name),
            form=form,
            verb=translate("Rebuild"),
            back_url=list_url(self),
        )

    def _request(self, request: HttpRequest, name: str, reason: str) -> HttpResponseBase:
        with transaction.atomic(using=event_store().using):
            run, is_new = request_rebuild(
                name, requested_by=request.user.get_username(), reason=reason
            )
            if is_new:
                said = f"Rebuild {run.pk} requested: {reason}"
                self.log_change(request, Subscription(name=name), said)
        if is_new:
            text = translate("Rebuild %(pk)s is requested; a worker does it.")
            messages.success(request, text % {"pk": run.pk})
        else:
            messages.warning(request, _say_open(run))
        return back_to_list(self)


def _say_rebuild(run: RebuildStatus) -> str:
    said = Rebuild.Status(run.status).label
    return f"{said}: {run.error}" if run.error else str(said)


def _say_open(run: Rebuild) -> str:
    text = translate(
        "Rebuild %(pk)s is open already (%(status)s), asked for by %(user)s; nothing was added."
    )
    return text % {
        "pk": run.pk,
        "status": run.get_status_display(),
        "user": run.requested_by or translate("somebody"),
    }
