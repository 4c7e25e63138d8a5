"""Backfills: events of the past for one subscription again."""

from __future__ import annotations

from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.operations.actions.action import By, Done, Fact
from whizbang.operations.actions.scoped import ScopedAction
from whizbang.operations.actions.subscriptions import SubscriptionAction
from whizbang.operations.backfill import (
    cancel_backfill,
    open_backfill,
    refuse_backfill,
    request_backfill,
    speed_of_last,
)
from whizbang.operations.estimates import Estimate, estimate_events, say_duration
from whizbang.operations.rebuild import open_rebuild
from whizbang.store.event_store import event_store

_PERMISSION = "whizbang.backfill_subscription"


class RequestBackfill(ScopedAction, frozen=True, kw_only=True):
    name = "backfill"
    label = _("Backfill")
    permission = _PERMISSION

    rate: float | None = None  # events a second, at most
    force: bool = False

    def state(self) -> dict[str, str]:
        run = open_backfill(self.subscription)
        rebuild = open_rebuild(event_store(), self.subscription)
        return {
            "open backfill": "" if run is None else str(run.pk),
            "open rebuild": "" if rebuild is None else str(rebuild.pk),
        }

    def check(self) -> None:
        self.scope()
        refuse_backfill(self.subscription, events_per_second=self.rate, force=self.force)
        if open_rebuild(event_store(), self.subscription) is not None:
            raise WhizbangError(
                f"A rebuild of {self.subscription!r} is open: it applies all of history."
            )

    def facts(self) -> list[Fact]:
        section = self.section()
        events = estimate_events(self.definition().store, section)
        run = open_backfill(self.subscription)
        text = translate("Backfill %(pk)s (%(status)s): nothing is added.")
        values = {"pk": run.pk, "status": run.get_status_display()} if run is not None else {}
        found = [Fact(translate("open already"), text % values)] if run is not None else []
        return [
            *found,
            Fact(
                translate("what happens"),
                translate(
                    "A worker applies these events once more, a batch at a time, after all that was applied."
                ),
            ),
            Fact(translate("events"), str(events)),
            Fact(translate("positions"), f"{section.after + 1:,} – {section.until:,}"),
            Fact(translate("time"), self._time_of(events)),
        ]

    def run(self, by: By) -> Done:
        run, is_new = request_backfill(
            self.subscription,
            self.scope(),
            events_per_second=self.rate,
            force=self.force,
            requested_by=by.operator[:150],
            reason=by.reason,
        )
        text = f"Backfill {run.pk} of {self.subscription}"
        if is_new:
            text += f" is requested: {run.events} events; a worker does it."
        else:
            text += f" is open already ({run.status})."
        return Done(text, {"backfill": run.pk, "is_new": is_new})

    def _time_of(self, events: Estimate) -> str:
        speeds = [known for known in (speed_of_last(self.definition()), self.rate) if known]
        if not speeds:
            return translate("unknown: no earlier backfill tells how fast it goes")
        least = say_duration(events.events / min(speeds))
        return translate("about %s") % least


class CancelBackfill(SubscriptionAction, frozen=True, kw_only=True):
    name = "cancel-backfill"
    label = _("Cancel the backfill")
    permission = _PERMISSION

    def state(self) -> dict[str, str]:
        run = open_backfill(self.subscription)
        return {"open backfill": "" if run is None else str(run.pk)}

    def check(self) -> None:
        if open_backfill(self.subscription) is None:
            raise WhizbangError(f"No backfill of {self.subscription!r} is open.")

    def facts(self) -> list[Fact]:
        run = open_backfill(self.subscription)
        if run is None:
            return []
        return [
            Fact(translate("applied"), f"{run.events_done:,} / {run.events:,}"),
            Fact(translate("what stays"), translate("What it has applied stays.")),
        ]

    def run(self, by: By) -> Done:
        run = cancel_backfill(self.subscription)
        return Done(
            f"Backfill {run.pk} of {run.subscription} is cancelled after {run.events_done} of "
            f"{run.events} events; what it has applied stays.",
            {"backfill": run.pk},
        )
