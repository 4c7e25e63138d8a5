"""Which workers are alive that could run the same partitions: a lease each, which a dead one does not renew."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable

from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.models import Lease
from whizbang.subscriptions.leases import LeaseHolder

_PREFIX = "worker/"


class Crew:
    """This worker among those whose code runs the same subscriptions in one database."""

    def __init__(self, leases: LeaseHolder, subscriptions: Iterable[str], *, using: str) -> None:
        self._leases, self._using = leases, using
        # Workers of other code cannot take what this one gives back: they are no part of its crew.
        digest = hashlib.sha256("\n".join(sorted(subscriptions)).encode()).hexdigest()[:12]
        self._prefix = f"{_PREFIX}{digest}/"
        self._name = f"{self._prefix}{leases.owner}"
        self._tidied_at = 0.0

    def sign_on(self) -> None:
        """Say that this worker is alive; to be called again more often than leases expire."""
        self._leases.epoch_of(self._name)
        self._tidy()

    def members(self, owners: dict[str, str]) -> set[str]:
        """Who is alive, given the owners of all leases that run."""
        found = {owner for name, owner in owners.items() if name.startswith(self._prefix)}
        return found | {self._leases.owner}

    def sign_off(self) -> None:
        self._leases.release(self._name)
        Lease.objects.using(self._using).filter(name=self._name, owner="").delete()

    def _tidy(self) -> None:
        """Delete the rows of the dead, now and then."""
        now = time.monotonic()
        if now - self._tidied_at < settings.LEASE_SECONDS / 3:
            return
        self._tidied_at = now
        rows = Lease.objects.using(self._using).filter(name__startswith=_PREFIX)
        # By name, each by itself: on MariaDB a range would lock the places where others sign on.
        for name in list(rows.filter(expires_at__lt=Now()).values_list("name", flat=True)):
            rows.filter(name=name, expires_at__lt=Now()).delete()


def read_owners(*, using: str) -> dict[str, str]:
    """Who holds each lease that runs, by the lease's name."""
    rows = Lease.objects.using(using).filter(expires_at__gt=Now())
    return dict(rows.values_list("name", "owner"))
