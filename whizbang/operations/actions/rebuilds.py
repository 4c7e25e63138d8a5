"""Rebuilds: one that begins, is published, ends early, goes on, is undone, and old rows that are dropped."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import Rebuild
from whizbang.operations.actions.action import By, Done, Fact
from whizbang.operations.actions.subscriptions import SubscriptionAction
from whizbang.operations.estimates import estimate_events, estimate_rows, say_duration
from whizbang.operations.rebuild import (
    cancel_rebuild,
    drop_kept,
    find_projection,
    kept_since,
    open_rebuild,
    progress_of,
    publish_rebuild,
    request_rebuild,
    request_undo,
    resume_rebuild,
)
from whizbang.operations.rebuild.requests import (
    find_shadow,
    kept_row,
    refuse_impossible,
    resumable_rebuild,
)
from whizbang.operations.scope import Scope, fix_scope
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import event_store

_PERMISSION = "whizbang.rebuild_subscription"


class RebuildAction(SubscriptionAction, frozen=True, kw_only=True):
    """Base of what is done with rebuilds of one projection."""

    permission = _PERMISSION

    def check(self) -> None:
        self.definition()

    def definition(self) -> ProjectionSubscription:
        """Raises WhizbangError for what cannot be rebuilt."""
        return find_projection(event_store(), self.subscription)

    def open_run(self) -> Rebuild | None:
        """The run that is requested or running."""
        return open_rebuild(event_store(), self.subscription)

    def demand_open(self) -> Rebuild:
        """Raises WhizbangError where none is open."""
        self.definition()
        run = self.open_run()
        if run is None:
            raise WhizbangError(f"No rebuild of {self.subscription!r} is open.")
        return run

    def state(self) -> dict[str, str]:
        self.definition()
        run = self.open_run()
        return {"open rebuild": "" if run is None else str(run.pk)}


class RequestRebuild(RebuildAction, frozen=True, kw_only=True):
    name = "rebuild"
    label = _("Rebuild")

    method: str = ""
    shares: int = 1
    hold: bool = False

    def check(self) -> None:
        refuse_impossible(self.definition(), self.method, self.shares, self.hold)

    def facts(self) -> list[Fact]:
        definition = self.definition()
        found = [_open_fact(run)] if (run := self.open_run()) is not None else []
        return [
            *found,
            Fact(translate("what happens"), self._plan(definition)),
            Fact(translate("events to read"), str(_events_of(definition))),
            Fact(translate("time"), _time_of(definition)),
            *_rows_fact(definition),
        ]

    def run(self, by: By) -> Done:
        run, is_new = request_rebuild(
            self.subscription,
            requested_by=by.operator[:150],
            reason=by.reason,
            method=self.method,
            shares=self.shares,
            is_held=self.hold,
        )
        return _requested(run, is_new)

    def _plan(self, definition: ProjectionSubscription) -> str:
        shadow = find_shadow(definition, self.method, is_made_now=False)
        if shadow is None:
            return translate(
                "A worker reads history again and refills the rows in one transaction. Readers see the "
                "old rows until it is done."
            )
        if self.hold:
            kept = (
                translate("The old rows are kept then, and can be put back.")
                if shadow.keeps_old
                else translate("The old rows are not kept then, and cannot be put back.")
            )
            return (
                translate(
                    "A worker makes new rows beside the live ones, compares them, and waits until somebody "
                    "publishes them. Nothing changes for readers until then."
                )
                + f" {kept}"
            )
        if shadow.keeps_old:
            return translate(
                "A worker makes new rows beside the live ones and puts them in their place. The old rows "
                "are kept, and can be put back."
            )
        return translate(
            "A worker makes new rows beside the live ones, and writes what differs in one transaction. "
            "The old rows are not kept."
        )


class PublishRebuild(RebuildAction, frozen=True, kw_only=True):
    name = "swap"
    label = _("Publish")

    def state(self) -> dict[str, str]:
        run = self.demand_open()
        return {
            "open rebuild": str(run.pk),
            "held": str(run.is_held),
            "compared": "" if not run.difference else str(run.difference["new_position"]),
        }

    def check(self) -> None:
        run = self.demand_open()
        if not run.is_held:
            raise WhizbangError(
                f"Rebuild {run.pk} of {self.subscription!r} is not held: it is published by itself."
            )

    def facts(self) -> list[Fact]:
        run = self.demand_open()
        if not run.difference:
            text = translate("They are not compared yet: it is published as soon as it is ready.")
            return [Fact(translate("new rows"), text)]
        found = run.difference
        return [
            Fact(translate("rows now"), f"{found['live_rows']:,}"),
            Fact(translate("rows afterwards"), f"{found['new_rows']:,}"),
            Fact(translate("rows that are new"), f"{found['only_new']:,}"),
            Fact(translate("rows that go"), f"{found['only_live']:,}"),
            Fact(translate("rows that change"), f"{found['differing']:,}"),
        ]

    def run(self, by: By) -> Done:
        run = publish_rebuild(self.subscription)
        return _done(run, "is published by a worker")


class CancelRebuild(RebuildAction, frozen=True, kw_only=True):
    name = "cancel-rebuild"
    label = _("Cancel the rebuild")

    def check(self) -> None:
        self.demand_open()

    def facts(self) -> list[Fact]:
        run = self.demand_open()
        return [
            Fact(translate("how far it is"), progress_of(run).text()),
            Fact(
                translate("what stays"),
                translate("The live rows are as they are. What is done can be gone on with."),
            ),
        ]

    def run(self, by: By) -> Done:
        run = cancel_rebuild(self.subscription)
        return _done(run, "ends within seconds" if run.is_cancel_requested else "is cancelled")


class ResumeRebuild(RebuildAction, frozen=True, kw_only=True):
    name = "resume-rebuild"
    label = _("Go on with the rebuild")

    def state(self) -> dict[str, str]:
        run = resumable_rebuild(self.subscription)
        return {"last rebuild": f"{run.pk} {run.status}"}

    def check(self) -> None:
        resumable_rebuild(self.subscription)

    def facts(self) -> list[Fact]:
        run = resumable_rebuild(self.subscription)
        return [Fact(translate("how far it is"), progress_of(run).text())]

    def run(self, by: By) -> Done:
        return _done(resume_rebuild(self.subscription), "is taken up by a worker")


class UndoRebuild(RebuildAction, frozen=True, kw_only=True):
    name = "undo"
    label = _("Put the old rows back")

    def state(self) -> dict[str, str]:
        return super().state() | {"rows kept since": str(kept_row(self.definition()).updated_at)}

    def check(self) -> None:
        kept_row(self.definition())

    def facts(self) -> list[Fact]:
        definition = self.definition()
        found = [_open_fact(run)] if (run := self.open_run()) is not None else []
        since = kept_row(definition).updated_at
        return [
            *found,
            Fact(
                translate("what happens"),
                translate(
                    "A worker applies to the kept rows what has happened since, and puts them in the "
                    "place of the live ones, which are kept in their turn."
                ),
            ),
            Fact(translate("rows kept since"), f"{since:%Y-%m-%d %H:%M:%S}"),
            *_rows_fact(definition),
        ]

    def run(self, by: By) -> Done:
        asked = {"requested_by": by.operator[:150], "reason": by.reason}
        return _requested(*request_undo(self.subscription, **asked))


class DropOldRows(RebuildAction, frozen=True, kw_only=True):
    name = "drop-old"
    label = _("Drop the old rows")

    def state(self) -> dict[str, str]:
        return super().state() | {"rows kept since": str(kept_since(self.subscription) or "")}

    def check(self) -> None:
        if kept_since(self.subscription) is None:
            raise WhizbangError(f"No rows of {self.subscription!r} are kept.")

    def facts(self) -> list[Fact]:
        since = kept_since(self.subscription)
        return [
            Fact(translate("rows kept since"), f"{since:%Y-%m-%d %H:%M:%S}" if since else "–"),
            Fact(
                translate("what happens"),
                translate("Their table is dropped. The last rebuild cannot be undone any more."),
            ),
        ]

    def run(self, by: By) -> Done:
        if not drop_kept(self.subscription):
            raise WhizbangError(f"No rows of {self.subscription!r} are kept.")
        return Done(f"The kept rows of {self.subscription} are dropped.")


def _requested(run: Rebuild, is_new: bool) -> Done:
    name = f"{run.get_kind_display().capitalize()} {run.pk} of {run.projection}"
    if is_new:
        text = f"{name} is requested; a worker does it."
    else:
        asked = f"{run.requested_by or 'somebody'} at {run.requested_at:%Y-%m-%d %H:%M:%S}"
        text = f"{name} is open already ({run.status}), asked for by {asked}."
    return Done(text, {"rebuild": run.pk, "is_new": is_new})


def _done(run: Rebuild, what: str) -> Done:
    return Done(f"Rebuild {run.pk} of {run.projection} {what}.", {"rebuild": run.pk})


def _open_fact(run: Rebuild) -> Fact:
    text = translate("Rebuild %(pk)s (%(status)s), asked for by %(user)s: nothing is added.")
    values = {
        "pk": run.pk,
        "status": run.get_status_display(),
        "user": run.requested_by or translate("somebody"),
    }
    return Fact(translate("open already"), text % values)


def _events_of(definition: ProjectionSubscription) -> Any:
    store = definition.store
    section = fix_scope(
        store, Scope(everything=True), types=definition.type_names, until=store.head()
    )
    return estimate_events(store, section)


def _time_of(definition: ProjectionSubscription) -> str:
    """From what the last rebuild took for the log as it was then."""
    runs = Rebuild.objects.using(definition.store.using).filter(
        projection=definition.name, kind=Rebuild.Kind.REBUILD, status=Rebuild.Status.DONE
    )
    last = runs.order_by("-id").first()
    if last is None or last.started_at is None or last.finished_at is None or not last.position:
        return translate("unknown: it was never rebuilt")
    seconds = (last.finished_at - last.started_at).total_seconds()
    whole = seconds * definition.store.head() / last.position
    text = translate("about %(time)s, as rebuild %(pk)s took %(last)s")
    return text % {
        "time": say_duration(whole),
        "pk": last.pk,
        "last": say_duration(seconds),
    }


def _rows_fact(definition: ProjectionSubscription) -> list[Fact]:
    model = getattr(definition.projection, "model", None)
    if model is None:
        return []
    rows = model._base_manager.using(definition.using).all()
    return [Fact(translate("rows there now"), estimate_rows(rows))]
