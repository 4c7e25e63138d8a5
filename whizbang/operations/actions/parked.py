"""What a subscription has set aside: trying it again, leaving an event out, parking by hand, making rows anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.utils.translation import gettext as translate
from django.utils.translation import gettext_lazy as _

from whizbang.exceptions import WhizbangError
from whizbang.models import EditedEvent, ParkedStream
from whizbang.operations.actions.action import Action, By, Done, Fact
from whizbang.operations.actions.subscriptions import SubscriptionAction
from whizbang.operations.edits import discard_edit
from whizbang.operations.estimates import estimate_events
from whizbang.operations.heal import heal_stream
from whizbang.operations.parked import parked_rows, retry_parked, skip_parked
from whizbang.operations.parking_by_hand import park_stream, refuse_park
from whizbang.operations.scope import Scope, fix_scope
from whizbang.operations.sole_writer import Progress
from whizbang.operations.status import first_line
from whizbang.operations.subscriptions import find_projection_named, find_subscription
from whizbang.projections.model import ModelProjection
from whizbang.store.event_store import event_store

_RETRY_PERMISSION = "whizbang.retry_parkedstream"
_MOST_COUNTED = 10_000
_MOST_SELECTED = 1_000
_heal_progress: ContextVar[Progress] = ContextVar("whizbang_heal_progress", default=None)


class ParkedAction(SubscriptionAction, frozen=True, kw_only=True):
    """Base of what is done about a parked stream, or a parked key, of one subscription."""

    stream: str | None = None
    key: str | None = None

    def target(self) -> str:
        return f"{super().target()}{_named(self.stream, self.key)}"

    def rows(self) -> Any:
        return parked_rows(self.subscription, stream=self.stream, key=self.key)

    def state(self) -> dict[str, str]:
        if self.stream is None and self.key is None:
            find_subscription(event_store(), self.subscription)
            return {}
        row = self.rows().first()
        return {"parked": "" if row is None else place_of(row)}


class Retry(ParkedAction, frozen=True, kw_only=True):
    """All of the subscription, what is parked at an event of a stream, or one key."""

    name = "retry"
    label = _("Retry")
    permission = _RETRY_PERMISSION

    def facts(self) -> list[Fact]:
        count = self.rows().order_by()[: _MOST_COUNTED + 1].count()
        more = "+" if count > _MOST_COUNTED else ""
        return [
            Fact(translate("parked"), f"{min(count, _MOST_COUNTED):,}{more}"),
            *_failure_facts(self.rows().first() if count == 1 else None),
            Fact(
                translate("what happens"),
                translate(
                    "A worker applies what was set aside again, in order. What fails once more stays parked."
                ),
            ),
        ]

    def run(self, by: By) -> Done:
        count = retry_parked(self.subscription, stream=self.stream, key=self.key)
        return Done(f"{count} parked streams or keys will be tried again.")


class RetrySelected(Action, frozen=True, kw_only=True):
    """Those of a list that somebody has chosen: their numbers, with commas between."""

    name = "retry-selected"
    family = "retry"  # what needs two people for one subscription needs them for a choice too
    label = _("Retry selected parked streams")
    permission = _RETRY_PERMISSION

    ids: str

    def target(self) -> str:
        return f"parked {self.ids}"

    def state(self) -> dict[str, str]:
        return {str(row): place_of(row) for row in self._rows()}

    def check(self) -> None:
        for name in {row.subscription for row in self._rows()}:
            find_subscription(event_store(), name)

    def facts(self) -> list[Fact]:
        return [Fact(str(row), first_line(row.error)) for row in self._rows()[:50]]

    def run(self, by: By) -> Done:
        pks = [row.pk for row in self._rows()]
        rows = ParkedStream.objects.using(event_store().using).filter(pk__in=pks)
        count = rows.update(is_retry_requested=True)
        return Done(f"{count} parked streams or keys will be tried again.")

    def _rows(self) -> list[ParkedStream]:
        try:
            pks = [int(text) for text in self.ids.split(",")][:_MOST_SELECTED]
        except ValueError as exc:
            raise WhizbangError(f"{self.ids!r} are no numbers of parked streams.") from exc
        rows = ParkedStream.objects.using(event_store().using).filter(pk__in=pks)
        found = list(rows.defer("traceback").order_by("id"))
        if not found:
            raise WhizbangError("None of them is parked any more.")
        return found


class Skip(ParkedAction, frozen=True, kw_only=True):
    """The event for which a stream, or a key, is parked."""

    name = "skip"
    label = _("Skip the event")
    permission = "whizbang.skip_parkedstream"

    def check(self) -> None:
        if (self.stream is None) == (self.key is None):
            raise WhizbangError("Say which stream, or which key, is meant: one of the two.")
        row = self._row()
        if row is None:
            what = f"Key {self.key!r}" if self.stream is None else f"Stream {self.stream}"
            raise WhizbangError(f"{what} is not parked for {self.subscription!r}.")
        if not row.type:
            raise WhizbangError(
                f"{row} was parked by hand before its next event: there is none to leave out. Retry it."
            )

    def state(self) -> dict[str, str]:
        find_subscription(event_store(), self.subscription)
        row = self._row()
        return {"parked": "" if row is None else place_of(row)}

    def facts(self) -> list[Fact]:
        return [
            *_failure_facts(self._row()),
            Fact(
                translate("what happens"),
                translate(
                    "This subscription leaves the event out for good, and goes on with the one behind "
                    "it. A rebuild reads it again."
                ),
            ),
        ]

    def run(self, by: By) -> Done:
        skipped = skip_parked(
            self.subscription,
            stream=self.stream,
            key=self.key,
            reason=by.reason,
            skipped_by=by.operator[:150],
        )
        return Done(f"{skipped} is left out; a worker applies what follows.")

    def _row(self) -> ParkedStream | None:
        """The one that skip_parked() takes."""
        unit = ParkedStream.Unit.STREAM if self.key is None else ParkedStream.Unit.KEY
        row: ParkedStream | None = self.rows().filter(unit=unit).first()
        return row


class Park(SubscriptionAction, frozen=True, kw_only=True):
    name = "park"
    label = _("Park a stream")
    permission = "whizbang.pause_subscription"

    stream: str

    def target(self) -> str:
        return f"{super().target()}{_named(self.stream)}"

    def state(self) -> dict[str, str]:
        row = parked_rows(self.subscription, stream=self.stream).first()
        return {"parked": "" if row is None else place_of(row)}

    def check(self) -> None:
        refuse_park(self.subscription)
        if self.state()["parked"]:
            raise WhizbangError(
                f"Stream {self.stream!r} is parked for {self.subscription!r} already."
            )

    def facts(self) -> list[Fact]:
        version = event_store().driver.stream_version(self.stream)
        return [
            Fact(translate("events of the stream"), f"{version:,}"),
            Fact(
                translate("what happens"),
                translate(
                    "This subscription applies nothing more of the stream until somebody retries it; it "
                    "goes on with all others."
                ),
            ),
        ]

    def run(self, by: By) -> Done:
        park_stream(
            self.subscription, stream=self.stream, reason=by.reason, parked_by=by.operator[:150]
        )
        return Done(f"{self.stream} in {self.subscription} is set aside until it is retried.")


class DiscardEdit(SubscriptionAction, frozen=True, kw_only=True):
    name = "discard-edit"
    label = _("Discard the edited copy")
    permission = "whizbang.edit_parkedstream"

    stream: str
    version: int

    def target(self) -> str:
        return f"{super().target()}{_named(self.stream)}"

    def state(self) -> dict[str, str]:
        edit = self._edit()
        return {"edited": "" if edit is None else str(edit.edited_at)}

    def check(self) -> None:
        if self._edit() is None:
            raise WhizbangError(
                f"Version {self.version} of stream {self.stream!r} is not edited for {self.subscription!r}."
            )

    def facts(self) -> list[Fact]:
        edit = self._edit()
        known = [] if edit is None else [Fact(translate("edited by"), edit.edited_by or "–")]
        known += [] if edit is None else [Fact(translate("because"), edit.reason)]
        text = translate("The original is read from now on. Rows made with the copy stay.")
        return [*known, Fact(translate("what happens"), text)]

    def run(self, by: By) -> Done:
        edit = discard_edit(self.subscription, stream=self.stream, version=self.version)
        return Done(f"{edit} is read as the log has it again.")

    def _edit(self) -> EditedEvent | None:
        using = find_subscription(event_store(), self.subscription).using
        rows = EditedEvent.objects.using(using).filter(
            subscription=self.subscription, stream=self.stream, version=self.version
        )
        return rows.first()


class Heal(SubscriptionAction, frozen=True, kw_only=True):
    """One stream of a projection."""

    name = "heal"
    label = _("Heal the stream")
    permission = "whizbang.heal_subscription"
    is_long = True  # it reads all events of the projection

    stream: str

    def target(self) -> str:
        return f"{super().target()}{_named(self.stream)}"

    def state(self) -> dict[str, str]:
        row = parked_rows(self.subscription, stream=self.stream).first()
        return {"parked": "" if row is None else place_of(row)}

    def check(self) -> None:
        definition = find_projection_named(event_store(), self.subscription)
        is_clearable = callable(getattr(definition.projection, "clear_stream", None))
        if not (isinstance(definition.projection, ModelProjection) or is_clearable):
            raise WhizbangError(
                f"{self.subscription!r} is in free form: give it a clear_stream(stream), or rebuild it."
            )

    def facts(self) -> list[Fact]:
        definition = find_projection_named(event_store(), self.subscription)
        store = definition.store
        section = fix_scope(
            store, Scope(everything=True), types=definition.type_names, until=store.head()
        )
        version = store.driver.stream_version(self.stream)
        return [
            Fact(translate("events of the stream"), f"{version:,}"),
            Fact(
                translate("events to look through for other writers"),
                str(estimate_events(store, section)),
            ),
            Fact(
                translate("what happens"),
                translate(
                    "A worker replays the stream with today's code, and writes its rows anew in one "
                    "transaction. If it was parked it is not any more."
                ),
            ),
        ]

    def run(self, by: By) -> Done:
        healed = heal_stream(
            self.subscription,
            self.stream,
            reason=by.reason,
            healed_by=by.operator,
            progress=_heal_progress.get(),
        )
        text = f"{healed.stream} is healed in {healed.projection}: {healed.events} events"
        if healed.rows is not None:
            text += f", {healed.rows} rows written, {healed.removed} removed"
        return Done(text + ("; it is not parked any more." if healed.was_parked else "."))


@contextmanager
def telling_progress(progress: Progress) -> Iterator[None]:
    """Heals in this block tell now and then how many events they have looked through."""
    token = _heal_progress.set(progress)
    try:
        yield
    finally:
        _heal_progress.reset(token)


def place_of(row: ParkedStream) -> str:
    """Where it is set aside, and after how many tries: what must not have changed meanwhile."""
    return f"version {row.version}, position {row.position}, attempts {row.attempts}"


def _named(stream: str | None, key: str | None = None) -> str:
    return (f" stream {stream}" if stream is not None else "") + (
        f" key {key}" if key is not None else ""
    )


def _failure_facts(row: ParkedStream | None) -> list[Fact]:
    if row is None:
        return []
    return [
        Fact(translate("event"), f"{row.type or '–'}, {row.stream} v{row.version}"),
        Fact(translate("error"), first_line(row.error)),
        Fact(translate("attempts"), f"{row.attempts:,}"),
    ]
