"""Runs a subscription that writes to another system: the checkpoint follows the acknowledgement.

A delivery is a generator that yields what waits for the other system; between these calls it uses the
database in short transactions. So no transaction is open while a call hangs, and the worker does other
work meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from itertools import islice
from typing import Any

from django.db import transaction

from whizbang.conf import settings
from whizbang.drivers.brokers.base import BrokerUnavailable
from whizbang.drivers.sinks.base import DocumentRefused, GenerationGone
from whizbang.drivers.sinks.masking import mask
from whizbang.drivers.stores.base import StoredRow
from whizbang.exceptions import SinkUnavailable, WhizbangError
from whizbang.messages.text import error_text, traceback_text
from whizbang.models import ParkedStream, Partition, Subscription
from whizbang.projections.declaration import LIVE
from whizbang.subscriptions.background import BackgroundCall, Call
from whizbang.subscriptions.outage import Outage
from whizbang.subscriptions.outside import (
    Contended,
    DriverFault,
    Failure,
    OutsideBatch,
    OutsideDefinition,
)
from whizbang.subscriptions.parking import park, park_again, parked_streams
from whizbang.subscriptions.partitioning import WHOLE, SliceRange
from whizbang.subscriptions.runner import SubscriptionRunner
from whizbang.subscriptions.start import start_position
from whizbang.subscriptions.tracing import telling_batch

logger = logging.getLogger(__name__)
Delivery = Generator[Callable[[], Any], Any, int]


class CollectionLost(WhizbangError):
    """The other system has lost what was written to it."""


_PASSING = (
    SinkUnavailable,
    BrokerUnavailable,
    GenerationGone,
    Contended,
    CollectionLost,
    DriverFault,
)


class OutsideRunner(SubscriptionRunner):
    """Delivers one batch at a time; while the other system is down it waits longer and longer.

    `in_background`: calls to the other system run in a thread; else run() waits for them.
    """

    definition: OutsideDefinition

    def __init__(
        self, definition: OutsideDefinition, slices: SliceRange = WHOLE, *, in_background: bool
    ) -> None:
        super().__init__(definition, slices)
        self._call_class = BackgroundCall if in_background else Call
        self._outage = Outage()
        self._delivery: Delivery | None = None
        self._call: Call | None = None

    @property
    def is_waiting(self) -> bool:
        return not self._outage.may_try()

    def take_over(self, lease_epoch: int) -> None:
        self._delivery = None
        super().take_over(lease_epoch)
        # An earlier worker may have left its trouble there; the first success clears it.
        self._outage.is_on = bool(self._states().values_list("error", flat=True).get())

    def refresh(self, state: Subscription, row: Partition) -> None:
        before = self._stored_position
        super().refresh(state, row)
        if before != self._stored_position:  # a rebuild has moved it
            self._delivery = None

    def go_on(self) -> int | None:
        if self._delivery is not None:
            return self._advance()
        return None if self._is_free() else 0

    def run(self, rows: Sequence[StoredRow], upto: int) -> int:
        wanted = self._wanted(rows)
        if not wanted:
            self._move_idle(upto)
            return 0
        return self._begin(self._deliver(wanted, upto))

    def retry_parked(self) -> int:
        if self._delivery is not None or not self._is_free():
            return 0
        requested = ParkedStream.objects.using(self.definition.using).filter(
            subscription=self.definition.name, is_retry_requested=True
        )
        parked = next(filter(self._applier.owns, requested.order_by("id")), None)
        return 0 if parked is None else self._begin(self._take_up(parked))

    def _is_free(self) -> bool:
        """May a delivery begin? Not while a call runs whose delivery was given up, nor in a pause."""
        if self._call is not None and self._call.is_done:
            self._call = None
        return self._call is None and self._outage.may_try()

    def _begin(self, delivery: Delivery) -> int:
        self._delivery = delivery
        try:
            self._call = self._call_class(next(delivery)).run()
        except StopIteration as end:
            return self._end(end.value)
        except BaseException:
            self._delivery = None
            raise
        return self._advance()

    def _advance(self) -> int:
        """Go on as far as is possible without waiting; gives the events applied by a delivery that ends."""
        while self._delivery is not None and self._call is not None and self._call.is_done:
            done, self._call = self._call, None
            try:
                self._call = self._call_class(_resume(self._delivery, done)).run()
            except StopIteration as end:
                return self._end(end.value)
            except _PASSING as exc:
                self._delivery = None
                self._note_failure(exc)
            except BaseException:
                self._delivery = None
                raise
        return 0

    def _end(self, count: int) -> int:
        self._delivery = None
        if self._outage.note_success():
            self._note_error("")
            logger.info("Subscription goes on again subscription=%s", self.definition.name)
        return count

    def _note_failure(self, error: Exception) -> None:
        """Told once an outage in the log; status may have lost it to a partition that goes on."""
        text = error_text(error)
        self._note_error(text)
        if self._outage.note_failure():
            logger.warning(
                "Subscription waits and tries again subscription=%s error=%s",
                self.definition.name,
                text,
            )

    def _note_error(self, text: str) -> None:
        """Unless another worker has taken over."""
        if self._rows().filter(epoch=self.epoch).exists():
            self._states().update(error=text)

    def _deliver(self, wanted: Sequence[StoredRow], upto: int) -> Delivery:
        rest: Sequence[StoredRow] = wanted
        while rest := self._not_parked(rest):
            rest = yield from self._deliver_up_to_failure(rest)
        self._move(upto)
        self.position = self._stored_position = upto
        return len(wanted)

    def _deliver_up_to_failure(
        self, rows: Sequence[StoredRow]
    ) -> Generator[Callable[[], Any], Any, Sequence[StoredRow]]:
        """Gives the events behind the one that failed. No document is ahead of it when it is parked."""
        batch = self._batch(rows, self._parked_streams())
        yield from self._load(batch)
        failure = batch.fold()
        count = len(rows) if failure is None else rows.index(failure[0])
        try:
            yield self._saving(batch, rows[:count])
            batch.note_saved()
        except DocumentRefused as exc:
            logger.info("Going event by event subscription=%s error=%s", self.definition.name, exc)
            yield from self._deliver_one_by_one(rows[:count])
            return rows[count:]  # what failed may have failed on a document that could not be
        if failure is not None:
            self._park(*failure)
        return rows[count + 1 :]

    def _deliver_one_by_one(
        self, rows: Sequence[StoredRow]
    ) -> Generator[Callable[[], Any], Any, None]:
        """Find the events that make a document impossible; what is in already is left alone."""
        for index, row in enumerate(rows):
            parked = self._parked_streams()
            if row.stream in parked:
                continue
            batch = self._batch([row], parked)
            yield from self._load(batch)
            failure = batch.fold()
            try:
                yield self._saving(batch, [row])
                batch.note_saved()
            except DocumentRefused as exc:
                # The write of all has stored other documents, with this stream's events in them.
                of_stream = [later for later in rows[index:] if later.stream == row.stream]
                marks = self._batch(of_stream, parked)
                yield from self._load(marks)
                marks.mark_applied()
                yield marks.save
                failure = row, exc
            if failure is not None:
                self._park(*failure)

    def _batch(
        self, rows: Sequence[StoredRow], parked: set[str], *, is_late: bool = False
    ) -> OutsideBatch:
        return self.definition.batch(rows, parked=parked, slices=self.slices, is_late=is_late)

    def _saving(self, batch: OutsideBatch, rows: Sequence[StoredRow]) -> Callable[[], Any]:
        """batch.save(), of which telemetry is told in the thread that it runs in."""

        def save() -> None:
            with telling_batch(self.definition, rows):
                batch.save()

        return save

    def _not_parked(self, rows: Sequence[StoredRow]) -> list[StoredRow]:
        parked = self._parked_streams()
        return [row for row in rows if row.stream not in parked]

    def _parked_streams(self) -> set[str]:
        return parked_streams(self.definition.name, using=self.definition.using)

    def _take_up(self, parked: ParkedStream) -> Delivery:
        """Apply the events of a stream that was set aside, as far as the others are."""
        applied = 0
        rows = iter(self._rows_of(parked))
        while chunk := list(islice(rows, settings.BATCH_SIZE)):
            failure = yield from self._apply_late(chunk)
            if failure is not None:
                with transaction.atomic(using=self.definition.using):
                    self._move(self._stored_position)
                    park_again(parked, *failure, using=self.definition.using)
                return applied
            applied += len(chunk)
        with transaction.atomic(using=self.definition.using):
            self._move(self._stored_position)
            ParkedStream.objects.using(self.definition.using).filter(pk=parked.pk).delete()
        return applied

    def _apply_late(
        self, rows: Sequence[StoredRow]
    ) -> Generator[Callable[[], Any], Any, Failure | None]:
        batch = self._batch(rows, self._parked_streams(), is_late=True)
        yield from self._load(batch)
        failure = batch.fold()
        try:
            yield self._saving(batch, rows)
        except DocumentRefused as exc:
            if len(rows) == 1:
                return rows[0], exc
            for row in rows:
                one = yield from self._apply_late([row])
                if one is not None:
                    return one
        return failure

    def _rows_of(self, parked: ParkedStream) -> Iterable[StoredRow]:
        rows = self.definition.store.driver.read_stream(parked.stream, after=parked.version - 1)
        names = self.definition.type_names
        for row in rows:
            if row.position > self._stored_position:
                return
            if names is None or row.type in names:
                yield row

    def _load(self, batch: OutsideBatch) -> Generator[Callable[[], Any], Any, None]:
        if (yield batch.load):
            return
        if self._has_delivered():
            raise CollectionLost(
                f"What {self.definition.name!r} has written up to position {self._stored_position} is gone "
                "(was the other system emptied?): rebuild the projection."
            )
        yield batch.open
        if not (yield batch.load):
            raise CollectionLost(f"What was made for {self.definition.name!r} is not there.")

    def _has_delivered(self) -> bool:
        """Is the checkpoint past an event that was wanted? Where it began LIVE nobody can tell."""
        backfill_from = self.definition.backfill_from
        if backfill_from is LIVE:
            return False
        rows = self.definition.store.driver.read_log(
            after=start_position(self.definition.store, backfill_from),
            until=self._stored_position,
            limit=1,
            filter=self.definition.wanted(),
        )
        return next(iter(rows), None) is not None

    def _park(self, row: StoredRow, error: Exception) -> None:
        using = self.definition.using
        with transaction.atomic(using=using):
            self._move(self._stored_position)  # nobody has taken over
            park(self.definition.name, row, error, using=using)
        logger.error(
            "Event parked subscription=%s stream=%s position=%s",
            self.definition.name,
            row.stream,
            row.position,
            exc_info=error,
        )


def _resume(delivery: Delivery, call: Call) -> Callable[[], Any]:
    """Hand a call's result to the delivery; gives its next call."""
    try:
        result = call.result()
    except (*_PASSING, DocumentRefused) as exc:
        return delivery.throw(exc)
    except Exception as exc:
        # Nothing is lost by trying again, and all streams would be parked else. Masked, since such an error
        # may tell the address that it was given.
        logger.error("Driver failed unexpectedly traceback=%s", mask(traceback_text(exc)))
        fault = DriverFault(f"{mask(error_text(exc))}: see the worker's log.")
        return delivery.throw(fault)
    return delivery.send(result)
