"""What a worker does of what operators asked for: one request after the other, under a lease."""

from __future__ import annotations

import logging
import threading
import time
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
_LOOK_SECONDS = 0.25
_REST_SECONDS = 1.0  # after trouble
_END_SECONDS = 2.0  # that one may take to end when its worker is stopped
_MOST_ATTEMPTS = 3  # of workers that die while they do it: perhaps it is what kills them
Status = ActionRequest.Status


class RequestsPart:
    """Does requests that wait for a worker, in a thread that is there only while there are some.

    What a worker that died has left is done again: a long action must bear that.
    """

    def __init__(self, store: EventStore, owner: str, *, in_thread: bool) -> None:
        """`in_thread`: what takes long holds nothing else up."""
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)
        self._in_thread = in_thread
        self._thread: threading.Thread | None = None
        self._is_stopping = threading.Event()
        self._next_at = 0.0
        self._count = 0  # done by the thread, and not told yet

    def run_once(self) -> int:
        """Begin with what waits; gives how many were done since the last time."""
        if self._thread is not None and self._thread.is_alive():
            return 0
        if not self._in_thread:
            return self._do_oldest()
        done, self._count = self._count, 0
        if time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + _LOOK_SECONDS
            if self._open().exists():
                self._thread = threading.Thread(
                    target=self._do_all, name="whizbang-requests", daemon=True
                )
                self._thread.start()
        return done

    def close(self) -> None:
        """Take nothing up any more. What runs may end; if it takes longer, another worker does it again."""
        self._is_stopping.set()
        if self._thread is not None:
            self._thread.join(_END_SECONDS)
        if self._thread is None or not self._thread.is_alive():
            self._leases.release_all()

    def _do_all(self) -> None:
        try:
            while not self._is_stopping.is_set() and self._do_oldest():
                self._count += 1
            self._leases.release_all()
        except Exception:
            logger.exception("Trouble with requests, will try again")
            self._next_at = time.monotonic() + _REST_SECONDS
        finally:
            connections.close_all()

    def _do_oldest(self) -> int:
        """Do one, if there is one and no other worker does them; gives how many."""
        request = self._open().order_by("id").first()
        if request is None or self._leases.epoch_of(_LEASE) is None:
            return 0
        if request.attempts >= _MOST_ATTEMPTS:
            self._end(request, Status.FAILED, error="The worker that did it died, several times.")
            return 1
        self._rows().filter(pk=request.pk).update(
            status=Status.RUNNING, attempts=F("attempts") + 1, started_at=Now()
        )
        self._do(request)
        return 1

    def _open(self) -> Any:
        return self._rows().filter(status__in=(Status.QUEUED, Status.RUNNING))

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
