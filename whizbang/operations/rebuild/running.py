"""A run from its request to its end."""

from __future__ import annotations

from typing import Any

from django.db.models.functions import Coalesce, Now

from whizbang.models import Rebuild
from whizbang.operations.rebuild.beside import Beside
from whizbang.operations.rebuild.errors import (
    RebuildCancelled,
    RebuildFailed,
    RebuildTakenOver,
    story_of,
)
from whizbang.operations.rebuild.in_place import rebuild_in_place
from whizbang.operations.rebuild.requests import find_projection, find_shadow, refuse_unknown_types
from whizbang.operations.rebuild.undo import undo
from whizbang.operations.rebuild.watch import Watch
from whizbang.store.event_store import EventStore
from whizbang.subscriptions.leases import LeaseHolder
from whizbang.subscriptions.start import ensure_rows

Status = Rebuild.Status


def rebuild(store: EventStore, run: Rebuild, leases: LeaseHolder) -> Rebuild:
    """Do what is left of a run whose lease is held; gives it as it is then: done, held or cancelled.

    Readers see the old rows until the commit that publishes the new ones. An event that cannot be applied
    parks its stream, as it does live; the rest is folded without that stream's later events.

    Raises `RebuildFailed` once the run is marked so, and `RebuildTakenOver`.
    """
    rows = Rebuild.objects.using(store.using).filter(pk=run.pk)
    try:
        last = _do(store, run, leases)
        if last is not None:
            rows.update(status=Status.DONE, phase="", finished_at=Now(), error="", **last)
    except RebuildTakenOver:
        raise
    except RebuildCancelled:
        rows.update(status=Status.CANCELLED, finished_at=Now(), is_cancel_requested=False)
    except Exception as exc:
        rows.update(status=Status.FAILED, error=story_of(exc), finished_at=Now())
        raise RebuildFailed(run, exc) from exc
    run.refresh_from_db(using=store.using)
    return run


def _do(store: EventStore, run: Rebuild, leases: LeaseHolder) -> dict[str, Any] | None:
    """Gives the run's last values; None where it is held."""
    run.refresh_from_db(using=store.using)
    definition = find_projection(store, run.projection)
    refuse_unknown_types(store)
    ensure_rows([definition])
    watch = Watch(store, run, leases)
    watch.note(status=Status.RUNNING, started_at=Coalesce("started_at", Now()))
    if run.kind == Rebuild.Kind.UNDO:
        return undo(definition, watch)
    shadow = find_shadow(definition, run.method)
    if shadow is not None:
        return Beside(definition, shadow, run, leases, watch).do()
    watch.note(method="refill", events=0)
    done = rebuild_in_place(definition, watch)
    return {"events": done.count, "rows": done.row_count, "position": done.head}
