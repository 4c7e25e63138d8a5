"""Leases: which worker may run a part, on the database's clock."""

from __future__ import annotations

import os
import socket
import time
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.models import Lease


def make_owner() -> str:
    """A name for who holds leases: no two are alike, and it says where to look."""
    return f"{socket.gethostname()[:60]}-{os.getpid()}-{uuid4().hex[:8]}"


class LeaseHolder:
    """Takes, renews and gives back leases for one worker on one database."""

    def __init__(self, owner: str, *, using: str) -> None:
        self.owner = owner
        self._using = using
        self._held: dict[str, tuple[int, float]] = {}  # name -> (epoch, when to renew)
        self._is_stopping = False

    def epoch_of(self, name: str) -> int | None:
        """The epoch under which this worker holds a lease; None while another one holds it."""
        if self._is_stopping:
            return None
        held = self._held.get(name)
        if held is not None and time.monotonic() < held[1]:
            return held[0]
        epoch = self._renew(name, held[0]) if held is not None else None
        if epoch is None:
            epoch = self._take(name)
        if epoch is None:
            self._held.pop(name, None)
            return None
        self._held[name] = (epoch, time.monotonic() + settings.LEASE_SECONDS / 3)
        return epoch

    def stop(self) -> None:
        """From now on hold nothing any more, so that whoever works under a lease ends; release_all() is still to
        be called. Safe to call from another thread."""
        self._is_stopping = True

    def holds(self, name: str) -> bool:
        """Has it been taken and not been lost, as far as this worker knows?"""
        return name in self._held

    def release(self, name: str) -> None:
        """Give one back, so that another worker need not wait for the expiry."""
        held = self._held.pop(name, None)
        if held is not None:
            mine = self._rows(name).filter(owner=self.owner, epoch=held[0])
            mine.update(owner="", expires_at=None)

    def release_all(self) -> None:
        """Give everything back."""
        for name in list(self._held):
            self.release(name)

    def _renew(self, name: str, epoch: int) -> int | None:
        changed = (
            self._rows(name).filter(owner=self.owner, epoch=epoch).update(expires_at=_expiry())
        )
        return epoch if changed else None

    def _take(self, name: str) -> int | None:
        with transaction.atomic(using=self._using):
            Lease.objects.using(self._using).bulk_create([Lease(name=name)], ignore_conflicts=True)
            free = Q(owner="") | Q(owner=self.owner) | Q(expires_at__lt=Now())
            changed = (
                self._rows(name)
                .filter(free)
                .update(owner=self.owner, epoch=F("epoch") + 1, expires_at=_expiry())
            )
            if not changed:
                return None
            return int(self._rows(name).values_list("epoch", flat=True).get())

    def _rows(self, name: str) -> Any:
        return Lease.objects.using(self._using).filter(name=name)


def _expiry() -> Any:
    return Now() + timedelta(seconds=settings.LEASE_SECONDS)
