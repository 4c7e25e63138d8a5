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
from whizbang.models import ParkedStream, SagaInstance, SagaTimeout
from whizbang.sagas.declaration import sagas_here
from whizbang.sagas.saga import Saga
from whizbang.sagas.steps import StepBatch
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
        return sum(self._fire(saga) for saga in sagas_here() if saga.timeouts)

    def close(self) -> None:
        """Locks ended with their transactions."""

    def _fire(self, saga: type[Saga]) -> int:
        due = list(self._due(saga)[:_MOST])
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

    def _due(self, saga: type[Saga]) -> Any:
        """In the order in which they are due. What waits for an operator keeps its timeouts waiting too."""
        parked = ParkedStream.objects.using(self.store.using).filter(
            subscription=OuterRef("saga"), unit=ParkedStream.Unit.KEY, key=OuterRef("key")
        )
        rows = SagaTimeout.objects.using(self.store.using)
        rows = rows.filter(saga=saga.name(), parked_at__isnull=True, due_at__lte=Now())
        return rows.filter(~Exists(parked)).order_by("due_at", "id")

    def _fire_all(self, saga: type[Saga], due: Sequence[SagaTimeout]) -> int:
        """An instance that another transaction is busy with comes later: it may cancel the timeout."""
        free = set(self._lock({timeout.stream for timeout in due}))
        pks = [timeout.pk for timeout in due if timeout.stream in free]
        # Read again behind the locks: whoever had them may have cancelled, fired or parked something.
        rows = list(self._due(saga).filter(pk__in=pks))
        batch = StepBatch(self.store, saga)
        batch.load(timeout.key for timeout in rows)
        for timeout in rows:
            batch.time_out(timeout.key, timeout.name, timeout.due_at)
        batch.write()
        return len(rows)

    def _lock(self, streams: set[str]) -> list[str]:
        using = self.store.using
        rows = SagaInstance.objects.using(using).filter(stream__in=streams).order_by("stream")
        if connections[using].features.has_select_for_update_skip_locked:
            rows = rows.select_for_update(skip_locked=True)
        return list(rows.values_list("stream", flat=True))

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
