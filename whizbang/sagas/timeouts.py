"""Fires timeouts that are due: with the step that they make the saga take, and once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from django.db import connections, transaction
from django.db.models import Exists, F, OuterRef
from django.db.models.functions import Now

from whizbang.drivers.errors import is_passing
from whizbang.exceptions import ConcurrencyError
from whizbang.messages.text import error_text, traceback_text
from whizbang.models import ParkedStream, SagaInstance, SagaTimeout, Subscription
from whizbang.sagas.declaration import sagas_here
from whizbang.sagas.saga import Saga
from whizbang.sagas.steps import StepBatch
from whizbang.sagas.unheard import first_unheard_at
from whizbang.store.event_store import EventStore

logger = logging.getLogger(__name__)
_MOST = 500  # in one transaction


class TimeoutPart:
    """The worker's share of them; any number of workers may do it side by side."""

    def __init__(self, store: EventStore) -> None:
        self.store = store
        self._is_needed = store.alias == "default"

    def run_once(self) -> int:
        """Fire what is due; gives how many were looked at, also those that failed and were set aside."""
        if not self._is_needed:
            return 0
        names = set(self._ripe().order_by().values_list("saga", flat=True).distinct())
        return sum(self._fire(saga) for saga in sagas_here() if saga.name() in names)

    def close(self) -> None:
        """Locks ended with their transactions."""

    def _fire(self, saga: type[Saga]) -> int:
        due = self._due(saga)
        unheard_at = first_unheard_at(self.store, saga) if due else None
        if unheard_at is not None:
            # Workers were away: what happened before a timeout was due is heard before it.
            due = [timeout for timeout in due if timeout.due_at < unheard_at]
        if not due:
            return 0
        fired = self._attempt(lambda: self._fire_all(saga, due))
        if isinstance(fired, int):
            return fired
        return sum(self._fire_one(saga, timeout) for timeout in due)

    def _fire_one(self, saga: type[Saga], timeout: SagaTimeout) -> int:
        fired = self._attempt(lambda: self._fire_all(saga, [timeout]))
        if isinstance(fired, int):
            return fired
        self._park(timeout, fired)
        return 1

    def _attempt(self, fire: Callable[[], int]) -> int | Exception:
        """In a transaction of its own; gives the error that is the methods' own."""
        try:
            with transaction.atomic(using=self.store.using):
                return fire()
        except ConcurrencyError:
            return 0  # somebody else took a step with one of them: the next turn sees it
        except Exception as exc:
            if is_passing(exc, using=self.store.using):
                raise
            return exc

    def _due(self, saga: type[Saga]) -> list[SagaTimeout]:
        return list(self._ripe().filter(saga=saga.name())[:_MOST])

    def _ripe(self) -> Any:
        """In the order in which they are due. What waits for an operator keeps its timeouts waiting too."""
        using = self.store.using
        parked = ParkedStream.objects.using(using).filter(
            subscription=OuterRef("saga"), unit=ParkedStream.Unit.KEY, key=OuterRef("key")
        )
        paused = Subscription.objects.using(using).filter(
            name=OuterRef("saga"), status=Subscription.Status.PAUSED
        )
        rows = SagaTimeout.objects.using(using).filter(parked_at__isnull=True, due_at__lte=Now())
        return rows.filter(~Exists(parked), ~Exists(paused)).order_by("due_at", "id")

    def _fire_all(self, saga: type[Saga], due: Sequence[SagaTimeout]) -> int:
        """An instance that another transaction is busy with comes later: it may cancel the timeout."""
        free = self._lock({timeout.stream for timeout in due})
        pks = [timeout.pk for timeout in due if timeout.stream in free]
        # Read again behind the locks: whoever had them may have cancelled, fired or parked something.
        rows = list(self._ripe().filter(pk__in=pks))
        batch = StepBatch(self.store, saga)
        batch.load(timeout.key for timeout in rows)
        left = [t.pk for t in rows if not batch.time_out(t.key, t.name, t.due_at)]
        if left:  # nobody waits for them
            SagaTimeout.objects.using(self.store.using).filter(pk__in=left).delete()
        batch.write()
        return len(rows)

    def _lock(self, streams: set[str]) -> set[str]:
        """Those that nobody else is busy with, also where the row is yet to be made from the stream."""
        using = self.store.using
        rows = SagaInstance.objects.using(using).filter(stream__in=streams).order_by("stream")
        names = rows.values_list("stream", flat=True)
        if not connections[using].features.has_select_for_update_skip_locked:
            return streams
        free = set(names.select_for_update(skip_locked=True))
        return free if len(free) == len(streams) else free | (streams - set(names))

    def _park(self, timeout: SagaTimeout, error: Exception) -> None:
        logger.error(
            "Timeout set aside saga=%s key=%s name=%s",
            timeout.saga,
            timeout.key,
            timeout.name,
            exc_info=error,
        )
        text = error_text(error)
        using = self.store.using
        instance = SagaInstance.objects.using(using).filter(stream=timeout.stream)
        with transaction.atomic(using=using):
            # The instance first, as each of its steps does, which may wait for this timeout's row.
            list(instance.select_for_update().values_list("stream"))
            rows = SagaTimeout.objects.using(using).filter(pk=timeout.pk, parked_at__isnull=True)
            is_there = rows.update(
                parked_at=Now(),
                attempts=F("attempts") + 1,
                error=text,
                traceback=traceback_text(error),
            )
            if is_there:
                instance.update(error=text)
