"""Takes what other services send from the broker, stores it, and only then lets the broker forget it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from django.db import DatabaseError, transaction

from whizbang.conf import settings
from whizbang.drivers.brokers.base import BrokerUnavailable, Delivery
from whizbang.drivers.telemetry.operations import Moment
from whizbang.exceptions import ConcurrencyError
from whizbang.messages.text import error_text
from whizbang.messaging.depths import DepthGauge
from whizbang.messaging.receiving import store_deliveries
from whizbang.messaging.topic_order import TopicOrder
from whizbang.messaging.topology import make_broker, topology
from whizbang.messaging.tracing import telling_reception, telling_settlement
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.subscriptions.outage import Outage

logger = logging.getLogger(__name__)
_LEASE = "whizbang.receiver"
_MOST_UNACKNOWLEDGED = 4  # batches; behind a gap they pile up


class Receiver:
    """One worker of a service at a time receives, under a lease: so what arrives in order is stored in order."""

    def __init__(self, store: EventStore, owner: str) -> None:
        self.store = store
        self._leases = LeaseHolder(owner, using=store.using)
        self._broker = make_broker(using=store.using)
        self._order = TopicOrder(using=store.using)
        self._outage = Outage()
        self._depths = DepthGauge()
        self._is_declared = False
        self._open: list[Delivery] = []  # received and not acknowledged, in order
        self._stored: set[int] = set()  # those of them that are stored, by identity

    def run_once(self, *, timeout_seconds: float | None = None) -> int:
        """Receive and store one batch; gives how many messages. Waits for what comes, for so long at most."""
        if not self._outage.may_try():
            return 0
        if self._leases.epoch_of(_LEASE) is None:
            self._give_back()
            return 0
        try:
            done = self._receive(self._patience() if timeout_seconds is None else timeout_seconds)
        except BrokerUnavailable as exc:
            self._note_trouble(exc)
            return 0
        except (DatabaseError, ConcurrencyError):
            self._give_back()
            raise
        if self._outage.note_success():
            logger.info("Broker answers again")
        return done

    @property
    def is_hindered(self) -> bool:
        """Is the broker away, and this the worker that waits for it?"""
        return self._outage.is_on and self._leases.holds(_LEASE)

    def stop(self) -> None:
        """End soon; called from another thread."""
        self._leases.stop()

    def close(self) -> None:
        self._give_back()
        self._leases.release_all()

    def _patience(self) -> float:
        """A server needs a moment to hand over what waits; a database gives it at once."""
        return 0.25 if self._broker.is_remote else 0.0

    def _receive(self, timeout_seconds: float) -> int:
        if not self._is_declared:
            self._broker.declare(topology())
            self._is_declared = True
        limit = settings.BATCH_SIZE
        self._depths.tell(self._broker)  # before there is anything in hand that it could lose
        fresh: list[Delivery] = []
        started = Moment.now()
        if len(self._open) < limit * _MOST_UNACKNOWLEDGED:
            fresh = self._broker.receive(limit=limit, timeout_seconds=timeout_seconds)
        self._open += fresh
        with telling_reception(self._broker, fresh, started):
            return self._keep(fresh)

    def _keep(self, fresh: Sequence[Delivery]) -> int:
        """Store what may be stored now, of these and of what was held back before; gives how many."""
        ready = self._order.admit(fresh)
        if ready:
            self._store(ready)
            self._acknowledge()
        return len(ready)

    def _store(self, ready: list[Delivery]) -> None:
        with transaction.atomic(using=self.store.using):
            store_deliveries(self.store, ready)
            self._order.note_stored()
        self._stored.update(map(id, ready))

    def _acknowledge(self) -> None:
        """As far as all is stored: a broker forgets everything up to what it is told."""
        count = 0
        for delivery in self._open:
            if id(delivery) not in self._stored:
                break
            count += 1
        done, self._open = self._open[:count], self._open[count:]
        if done:
            with telling_settlement(self._broker, done):
                self._broker.acknowledge(done)
            self._stored.difference_update(map(id, done))

    def _note_trouble(self, error: BrokerUnavailable) -> None:
        self._give_back()
        if self._outage.note_failure():
            logger.warning("Broker does not answer, will try again error=%s", error_text(error))

    def _give_back(self) -> None:
        """What was not acknowledged comes again, to whoever receives next."""
        self._is_declared = False
        self._depths.forget()
        self._open, self._stored = [], set()
        self._order.forget()
        try:
            self._broker.close()
        except BrokerUnavailable as exc:
            logger.info("Broker was gone already error=%s", error_text(exc))
