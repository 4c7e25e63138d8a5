"""Rebuilds: the list, and the page of one: progress, what differs, and what can be done about it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.contrib import admin
from django.contrib.admin.utils import quote
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.messages.personal import MASK, mask_leaves
from whizbang.models import Rebuild
from whizbang.operations.actions import Action
from whizbang.operations.actions.rebuilds import (
    CancelRebuild,
    PublishRebuild,
    ResumeRebuild,
    UndoRebuild,
)
from whizbang.operations.rebuild import kept_since, progress_of
from whizbang_admin.actions.links import offer
from whizbang_admin.audit.trail import actions_on
from whizbang_admin.frame.documents import HIDDEN, may_see_personal_data, show_text
from whizbang_admin.frame.object_page import ObjectPageAdmin
from whizbang_admin.frame.pages import render_page
from whizbang_admin.subscriptions.progress import OPEN, show_rebuild


class DifferentField(NamedTuple):
    """One value of a row that differs; a side is None where it has no row, or no value."""

    key: str
    change: str
    field: str
    old: str | None
    new: str | None


@admin.register(Rebuild)
class RebuildAdmin(ObjectPageAdmin):
    """Who asked for which rebuild, why, and what became of it."""

    list_display = (
        "projection",
        "kind",
        "status",
        "progress",
        "requested_by",
        "requested_at",
        "finished_at",
    )
    list_filter = ("status",)
    ordering = ("-id",)
    deferred = ("error", "difference")

    @admin.display(description=_("progress"))
    def progress(self, row: Rebuild) -> str:
        return progress_of(row).text()

    def object_page(self, request: HttpRequest, row: Any) -> HttpResponseBase:
        name = row.projection
        is_hidden = not may_see_personal_data(request.user)
        is_last = not self.get_queryset(request).filter(projection=name, pk__gt=row.pk).exists()
        return render_page(
            self,
            request,
            "whizbang_admin/subscriptions/rebuild.html",
            title=f"{str(row.get_kind_display()).capitalize()} {row.pk}: {name}",
            row=row,
            shown=show_rebuild(row),
            difference=row.difference,
            fields=list(different_fields(row.difference or {}, is_hidden=is_hidden)),
            hidden=HIDDEN if is_hidden else "",
            problem=show_text(row.error, label=translate("error")) if row.error else "",
            offered=offer(request, *_actions(row)) if is_last else [],
            subscription_url=self._subscription_url(request, name),
            history_url=self.url_of("history", quote(row.pk)),
            trail=actions_on(request, f"subscription {name}"),
        )

    def _subscription_url(self, request: HttpRequest, name: str) -> str:
        if not request.user.has_perm("whizbang.view_subscription"):
            return ""
        return reverse(
            "admin:whizbang_subscription_change",
            args=[quote(name)],
            current_app=self.admin_site.name,
        )


def different_fields(difference: dict[str, Any], *, is_hidden: bool) -> Iterator[DifferentField]:
    """The samples of a comparison, a field a line. `is_hidden`: keys and values are masked."""
    for sample in difference.get("samples", ()):
        key, old, new = sample["key"], sample["live"], sample["new"]
        change = (
            translate("new")
            if old is None
            else translate("gone")
            if new is None
            else translate("changed")
        )
        if is_hidden:
            key, old, new = MASK, mask_leaves(old or {}), mask_leaves(new or {})
        for field in (old or {}) | (new or {}):
            yield DifferentField(key, change, field, (old or {}).get(field), (new or {}).get(field))


def _actions(run: Rebuild) -> Iterator[Action]:
    """What can be done with the last run of a projection."""
    name = run.projection
    if run.status in OPEN:
        if run.is_held:
            yield PublishRebuild(subscription=name)
        yield CancelRebuild(subscription=name)
    elif run.status in (Rebuild.Status.CANCELLED, Rebuild.Status.FAILED):
        yield ResumeRebuild(subscription=name)
    elif _has_kept(name):
        yield UndoRebuild(subscription=name)


def _has_kept(name: str) -> bool:
    try:
        return kept_since(name) is not None
    except WhizbangError:  # its code is gone, and its row remains
        return False
