"""The list of subscriptions: where each stands, whether it needs a rebuild, what is under way."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Max
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.models import Backfill, ParkedStream, Rebuild, Subscription
from whizbang.operations.actions.rebuilds import RequestRebuild
from whizbang.operations.overview.standing import read_standings
from whizbang.operations.rebuild.twin import TWIN
from whizbang.operations.status import first_line
from whizbang.store.event_store import event_store
from whizbang.subscriptions.registered import all_definitions
from whizbang.subscriptions.start import needs_rebuild
from whizbang_admin.actions.links import offer
from whizbang_admin.frame.keyset import KeysetChangeList
from whizbang_admin.frame.object_page import ObjectPageAdmin
from whizbang_admin.subscriptions.page import subscription_page
from whizbang_admin.subscriptions.progress import OPEN, show_backfill, show_rebuild
from whizbang_admin.subscriptions.state import state_of

_MOST_PARKED = 10_000


class StatusChangeList(KeysetChangeList):
    """Reads what belongs to all rows of a page together, and gives each row its own."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        store, using = event_store(), self.queryset.db
        definitions = {definition.name: definition for definition in all_definitions(store)}
        standings = {found.name: found for found in read_standings(store, store.head())}
        parked, is_cut = _count_parked(using)
        rebuilds, backfills = _latest_rebuilds(), _open_backfills(using)
        may_view = {
            name: request.user.has_perm(f"whizbang.view_{name}")
            for name in ("rebuild", "backfill", "parkedstream")
        }
        for row in self.result_list:
            # On the rows, for the admin object itself is shared by all requests.
            definition = definitions.get(row.name)
            projection = getattr(definition, "projection", None)
            row.definition, row.standing = definition, standings.get(row.name)
            row.needs_rebuild = definition is not None and needs_rebuild(definition, row)
            row.parked_count = f"{parked[row.name]:,}{'+' if is_cut else ''}"
            row.rebuild, row.backfill = rebuilds.get(row.name), backfills.get(row.name)
            row.may_view = may_view
            is_rebuildable = projection is not None and projection.is_rebuildable
            action = RequestRebuild(subscription=row.name)
            row.offered = offer(request, action) if is_rebuildable else []


@admin.register(Subscription)
class SubscriptionAdmin(ObjectPageAdmin):
    """Position and lag of all that follows the log."""

    list_display = (
        "name",
        "state",
        "lag",
        "parked",
        "progress",
        "last_rebuild",
        "rebuild_link",
        "kind",
        "position",
    )
    ordering = ("name",)

    class Media:
        css: ClassVar[dict[str, tuple[str, ...]]] = {
            "all": tuple(
                f"whizbang_admin/{name}.css" for name in ("whizbang", "tones", "subscriptions")
            )
        }

    def get_queryset(self, request: HttpRequest) -> Any:
        """Without the tables beside live ones: rebuilds tell of them."""
        return super().get_queryset(request).exclude(kind=TWIN)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return StatusChangeList

    def object_page(self, request: HttpRequest, row: Any) -> HttpResponseBase:
        return subscription_page(self, request, row)

    @admin.display(description=_("lag"))
    def lag(self, row: Any) -> str:
        found = row.standing
        return "–" if found is None or found.lag_events is None else f"{found.lag_events:,}"

    @admin.display(description=_("position"))
    def position(self, row: Any) -> str:
        found = row.standing
        if found is None or found.position is None:
            return "–"
        if len(found.partitions) == 1:
            return str(found.position)
        text = translate("%(position)s in %(count)s partitions")
        return text % {"position": found.position, "count": len(found.partitions)}

    @admin.display(description=_("parked"))
    def parked(self, row: Any) -> Any:
        if row.parked_count == "0" or not row.may_view["parkedstream"]:
            return row.parked_count
        url = reverse("admin:whizbang_parkedstream_changelist", current_app=self.admin_site.name)
        query = urlencode({"subscription": row.name})
        return format_html('<a href="{}?{}">{}</a>', url, query, row.parked_count)

    @admin.display(description=_("state"))
    def state(self, row: Any) -> str:
        text, tone = state_of(row, row.definition is not None, needs=row.needs_rebuild)
        return format_html('<span class="wb-tone-{}">{}</span>', tone, text)

    @admin.display(description=_("progress"))
    def progress(self, row: Any) -> str:
        run = row.rebuild
        if run is not None and run.status in OPEN:
            return self._linked("rebuild", row, run, translate("rebuild"), show_rebuild(run))
        if row.backfill is not None:
            shown = show_backfill(row.backfill)
            return self._linked("backfill", row, row.backfill, translate("backfill"), shown)
        return "–"

    def _linked(self, model: str, row: Any, run: Any, word: str, shown: Any) -> str:
        parts = [word, shown.phase or shown.status]
        parts += [f"{shown.percent} %"] if shown.percent is not None else []
        text = ", ".join(parts)
        return self._run_link(model, run, text) if row.may_view[model] else text

    @admin.display(description=_("last rebuild"))
    def last_rebuild(self, row: Any) -> str:
        run = row.rebuild
        if run is None:
            return "–"
        said = str(run.get_status_display())
        text = f"{said}: {first_line(run.error)}" if run.error else said
        return self._run_link("rebuild", run, text) if row.may_view["rebuild"] else text

    @admin.display(description=_("rebuild"))
    def rebuild_link(self, row: Any) -> str:
        for offered in row.offered:
            label = translate("Rebuild %s") % row.name
            text = f"{offered.label}…"
            return format_html('<a href="{}" aria-label="{}">{}</a>', offered.url, label, text)
        return ""

    def _run_link(self, model: str, run: Any, text: str) -> str:
        name = f"admin:whizbang_{model}_change"
        url = reverse(name, args=[run.pk], current_app=self.admin_site.name)
        return format_html('<a href="{}">{}</a>', url, text)


def _count_parked(using: str) -> tuple[Counter[str], bool]:
    rows = ParkedStream.objects.using(using).values_list("subscription", flat=True)
    found = list(rows.order_by()[: _MOST_PARKED + 1])
    return Counter(found), len(found) > _MOST_PARKED


def _latest_rebuilds() -> dict[str, Rebuild]:
    rows = Rebuild.objects.using(event_store().using)
    latest = rows.values("projection").annotate(latest=Max("id")).order_by().values("latest")
    return {run.projection: run for run in rows.filter(pk__in=latest).defer("difference")}


def _open_backfills(using: str) -> dict[str, Backfill]:
    rows = Backfill.objects.using(using).filter(
        status__in=(Backfill.Status.REQUESTED, Backfill.Status.RUNNING)
    )
    return {run.subscription: run for run in rows.order_by("id").defer("scope", "error")}
