"""Which workers there are, and who holds which lease."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.clock import database_now
from whizbang.models import Lease, WorkerProcess
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.registered import log_readers

_MOST_WORKERS, _MOST_LEASES = 200, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEntry:
    """A worker as it last told of itself; `is_gone`: not seen for LEASE_SECONDS, so it is gone or frozen."""

    name: str
    service: str
    host: str
    process_id: int
    parts: tuple[str, ...]
    code_version: str
    state: str
    started_at: datetime
    seen_at: datetime
    seen_seconds: float  # ago
    is_gone: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseEntry:
    """Who may run a part; once it `is_expired` any worker may take it."""

    name: str
    owner: str
    epoch: int
    expires_at: datetime | None
    is_expired: bool


def list_workers(store: EventStore | None = None) -> list[WorkerEntry]:
    """Those that told of themselves within a day and have not ended in order, the last seen first."""
    store = store or event_store()
    now = database_now(store.using)
    rows = WorkerProcess.objects.using(store.using).order_by("-seen_at", "name")[:_MOST_WORKERS]
    return [_entry(row, now) for row in rows]


def list_leases(store: EventStore | None = None) -> list[LeaseEntry]:
    """Those that somebody holds or held, by name."""
    store = store or event_store()
    databases = sorted({store.using, *(d.using for d in log_readers(store))})
    current = ExpressionWrapper(Q(expires_at__gt=Now()), output_field=BooleanField())
    found = [
        LeaseEntry(
            name=row.name,
            owner=row.owner,
            epoch=row.epoch,
            expires_at=row.expires_at,
            is_expired=not row.is_current,
        )
        for using in databases
        for row in _held(using).annotate(is_current=current)[:_MOST_LEASES]
    ]
    return sorted(found, key=lambda lease: lease.name)


def _held(using: str) -> Any:
    return Lease.objects.using(using).exclude(owner="").order_by("name")


def _entry(row: WorkerProcess, now: datetime) -> WorkerEntry:
    seconds = max(0.0, (now - row.seen_at).total_seconds())
    return WorkerEntry(
        name=row.name,
        service=row.service,
        host=row.host,
        process_id=row.process_id,
        parts=tuple(row.parts.split()),
        code_version=row.code_version,
        state=row.state,
        started_at=row.started_at,
        seen_at=row.seen_at,
        seen_seconds=seconds,
        is_gone=seconds > settings.LEASE_SECONDS,
    )
