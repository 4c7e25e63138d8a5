"""What a worker does of what operators asked for: one request after the other, under a lease."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connections, transaction
from django.db.models import F
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.errors import is_conflict, is_passing
from whizbang.messages.text import error_text
from whizbang.models import ActionRequest
from whizbang.operations.actions.action import By, Done, read_action
from whizbang.operations.actions.perform import keep_record, refuse_changed
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.leases import LeaseHolder

logger = logging.getLogger(__name__)
_LEASE = "whizbang.requests"
_MOST_ATTEMPTS = 3  # of workers that die while they do it: perhaps it is what kills them
Status = ActionRequest.Status


class RequestsPart:
    """Does requests that wait for a worker.

    What one that died has left is done again: a long action must bear that.
    """

    is_hindered = False

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)

    def run_once(self) -> int:
        """Do the oldest one there is; gives how many were done, 0 or 1."""
        rows = self._rows().filter(status__in=(Status.QUEUED, Status.RUNNING)).order_by("id")
        if not rows.exists() or self._leases.epoch_of(_LEASE) is None:
            return 0
        request = rows.first()
        if request is None:
            return 0
        if request.attempts >= _MOST_ATTEMPTS:
            self._end(request, Status.FAILED, error="The worker that did it died, several times.")
            return 1
        self._rows().filter(pk=request.pk).update(
            status=Status.RUNNING, attempts=F("attempts") + 1, started_at=Now()
        )
        self._do(request)
        return 1

    def stop(self) -> None:
        """Take nothing up any more."""
        self._leases.stop()

    def close(self) -> None:
        self._leases.release_all()

    def _do(self, request: ActionRequest) -> None:
        by = By(request.requested_by, request.reason)
        try:
            action = read_action(request.action, request.parameters)
            refuse_changed(action, request.seen)
            with self._keeping_lease():
                done = action.run(by)
        except Exception as exc:
            if is_conflict(exc):  # it says nothing about the action: the next turn tries it again
                self._rows().filter(pk=request.pk).update(
                    status=Status.QUEUED, attempts=F("attempts") - 1
                )
                return
            if is_passing(exc, using=self.store.using):
                raise
            logger.warning(
                "Request failed id=%s action=%s error=%s", request.pk, request.action, exc
            )
            self._end(request, Status.FAILED, error=error_text(exc))
            return
        with transaction.atomic(using=self.store.using):
            if self._leases.epoch_of(_LEASE) is None:
                return  # this worker was frozen, and another one does it again
            self._end(request, Status.DONE, done=done)
            keep_record(action, by, done.text)

    @contextmanager
    def _keeping_lease(self) -> Iterator[None]:
        """Renew it from another thread, for an action takes what time it takes."""
        is_over = threading.Event()

        def renew() -> None:
            try:
                while not is_over.wait(settings.LEASE_SECONDS / 4):
                    try:
                        self._leases.epoch_of(_LEASE)
                    except Exception as exc:
                        # The next turn tries again; once the lease has expired the result is dropped.
                        logger.warning("Lease is not renewed name=%s error=%s", _LEASE, exc)
                        connections.close_all()
            finally:
                connections.close_all()

        keeper = threading.Thread(target=renew, name="whizbang-requests-lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            is_over.set()
            keeper.join()

    def _end(
        self, request: ActionRequest, status: str, *, done: Done | None = None, error: str = ""
    ) -> None:
        found: dict[str, Any] = {"error": error}
        if done is not None:
            found |= {"result": done.text, "document": done.document}
        self._rows().filter(pk=request.pk).update(status=status, finished_at=Now(), **found)

    def _rows(self) -> Any:
        return ActionRequest.objects.using(self.store.using)
