"""Keeps the claims of a worker while a handler takes longer than they last."""

from __future__ import annotations

import logging
import threading
from uuid import UUID

from django.db import DatabaseError, connections

from whizbang.conf import settings
from whizbang.messaging.claims import extend_claim

logger = logging.getLogger(__name__)


class ClaimKeeper:
    """A thread with a connection of its own that extends the claim under work.

    A worker that is killed or frozen stops extending, so its messages go to others in time.
    """

    def __init__(self, using: str) -> None:
        self._using = using
        self._stopped = threading.Event()
        self._claim: UUID | None = None
        self._thread: threading.Thread | None = None

    def keep(self, claim: UUID | None) -> None:
        """The claim to extend from now on; None for no claim."""
        self._claim = claim
        if claim is not None and self._thread is None:
            self._stopped.clear()
            self._thread = threading.Thread(target=self._run, name="whizbang-claims", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _run(self) -> None:
        try:
            while not self._stopped.wait(settings.LEASE_SECONDS / 3):
                self._extend()
        finally:
            connections[self._using].close()

    def _extend(self) -> None:
        claim = self._claim
        if claim is None:
            return
        try:
            extend_claim(claim, using=self._using)
        except DatabaseError as exc:
            logger.warning("Claim not extended, will try again error=%s", exc)
            connections[self._using].close()
