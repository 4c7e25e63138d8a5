"""What an operator asks of rebuilds: one that begins, is published, ends early, goes on, or is undone."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, connections, transaction
from django.db.models.functions import Now

from whizbang.drivers.shadows import Shadow, shadow_for, why_not_swapped
from whizbang.drivers.shadows.postgres import SwappedShadow
from whizbang.exceptions import UnknownMessageType, WhizbangError
from whizbang.models import Rebuild, Subscription
from whizbang.operations.rebuild.twin import KEPT, forget_twin, twin_row
from whizbang.operations.subscriptions import find_projection_named, refuse_cached
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.store.event_store import EventStore, event_store
from whizbang.subscriptions.known_types import unknown_types

Status = Rebuild.Status
OPEN = (Status.REQUESTED, Status.RUNNING)
METHODS = ("swap", "merge", "refill")
MOST_SHARES = 64


def request_rebuild(
    name: str,
    *,
    requested_by: str = "",
    reason: str = "",
    method: str = "",
    shares: int = 1,
    is_held: bool = False,
) -> tuple[Rebuild, bool]:
    """Ask for a rebuild, which a worker does; gives the run, and whether it is a new one.

    A projection has one open run at most: who asks again gets that one, False, and the first one's
    reason stays. `method` is how the rows are published: "swap", "merge" or "refill"; empty is the best
    that the projection and the database allow. `shares` are folded side by side by so many workers; more
    than one needs `partition_by`. `is_held` waits with publishing for publish_rebuild().

    Raises WhizbangError for a projection that does not exist or cannot be rebuilt in this way.
    """
    store = event_store()
    definition = find_projection(store, name)
    refuse_impossible(definition, method, shares, is_held)
    asked: dict[str, Any] = {
        "requested_by": requested_by,
        "reason": reason,
        "method": method,
        "shares": shares,
        "is_held": is_held,
    }
    return _request(store, name, asked)


def request_undo(name: str, *, requested_by: str = "", reason: str = "") -> tuple[Rebuild, bool]:
    """Ask for the rows that the last rebuild replaced, caught up to now; gives as request_rebuild() does.

    The rows that are replaced now are kept in their turn. Raises WhizbangError where none are kept, or
    other code than today's has filled them.
    """
    store = event_store()
    definition = find_projection(store, name)
    kept_row(definition)
    asked = {"requested_by": requested_by, "reason": reason, "kind": Rebuild.Kind.UNDO}
    return _request(store, name, asked)


def _request(store: EventStore, name: str, asked: dict[str, Any]) -> tuple[Rebuild, bool]:
    try:
        return _request_new(store, name, asked), True
    except IntegrityError:
        found = open_rebuild(store, name)
    if found is not None:
        return found, False
    # The one that was in the way has ended in between.
    return _request_new(store, name, asked), True


def _request_new(store: EventStore, name: str, asked: dict[str, Any]) -> Rebuild:
    with transaction.atomic(using=store.using):
        return Rebuild.objects.using(store.using).create(projection=name, **asked)


def open_rebuild(store: EventStore, name: str) -> Rebuild | None:
    """The run of a projection that is requested or running."""
    return Rebuild.objects.using(store.using).filter(projection=name, status__in=OPEN).first()


def latest_rebuilds(name: str | None = None, *, most: int) -> list[Rebuild]:
    """The newest runs, of one projection or of all."""
    runs = Rebuild.objects.using(event_store().using).order_by("-id")
    return list((runs if name is None else runs.filter(projection=name))[:most])


def publish_rebuild(name: str) -> Rebuild:
    """Let a worker publish a rebuild that is held. Raises WhizbangError where none is."""
    store = event_store()
    run = _open_or_raise(store, name)
    if not run.is_held:
        raise WhizbangError(f"Rebuild {run.pk} of {name!r} is not held: it is published by itself.")
    return _change(store, run, is_held=False)


def cancel_rebuild(name: str) -> Rebuild:
    """End the open rebuild of a projection; resume_rebuild() goes on with what it has.

    One that a worker is at ends within seconds. Raises WhizbangError where none is open.
    """
    store = event_store()
    run = _open_or_raise(store, name)
    is_held = run.is_held and run.phase == Rebuild.Phase.HELD
    if run.status == Status.REQUESTED or is_held:
        return _change(store, run, status=Status.CANCELLED, finished_at=Now())
    return _change(store, run, is_cancel_requested=True)


def resume_rebuild(name: str) -> Rebuild:
    """Let a worker go on with the last rebuild of a projection, which was cancelled or failed.

    What it has folded is used where the code is still the same. Raises WhizbangError where there is
    nothing to resume.
    """
    return _change(
        event_store(),
        resumable_rebuild(name),
        status=Status.REQUESTED,
        is_cancel_requested=False,
        finished_at=None,
        error="",
    )


def resumable_rebuild(name: str) -> Rebuild:
    """The last rebuild of a projection, which was cancelled or failed. Raises WhizbangError for another one."""
    store = event_store()
    find_projection(store, name)
    run = Rebuild.objects.using(store.using).filter(projection=name).order_by("-id").first()
    if run is None or run.status not in (Status.CANCELLED, Status.FAILED):
        state = "there is none" if run is None else f"the last one is {run.status}"
        raise WhizbangError(f"No rebuild of {name!r} to resume: {state}. Request a new one.")
    return run


def _open_or_raise(store: EventStore, name: str) -> Rebuild:
    find_projection(store, name)
    run = open_rebuild(store, name)
    if run is None:
        raise WhizbangError(f"No rebuild of {name!r} is open.")
    return run


def _change(store: EventStore, run: Rebuild, **values: Any) -> Rebuild:
    """Change a run that is still as it was read. Raises WhizbangError where a worker was quicker."""
    rows = Rebuild.objects.using(store.using).filter(pk=run.pk, status=run.status, phase=run.phase)
    if not rows.update(**values):
        raise WhizbangError(f"Rebuild {run.pk} of {run.projection!r} has just gone on: look again.")
    run.refresh_from_db(using=store.using)
    return run


def find_projection(store: EventStore, name: str) -> ProjectionSubscription:
    """A rebuildable projection by its name. Raises WhizbangError with the names there are."""
    refuse_cached(name)
    found = find_projection_named(store, name)
    if not found.projection.is_rebuildable:
        raise WhizbangError(
            f"Projection {name!r} cannot be rebuilt: give it a clear() that empties what it wrote."
        )
    return found


def refuse_unknown_types(store: EventStore) -> None:
    """Raise `UnknownMessageType` when the log holds events that no installed app defines.

    A rebuild would leave them out, and the read model would lose what they say.
    """
    unknown = unknown_types(store)
    if unknown:
        raise UnknownMessageType(", ".join(unknown), "in the log")


def find_shadow(
    definition: ProjectionSubscription, method: str, *, is_made_now: bool = True
) -> Shadow | None:
    """The table in which a projection is rebuilt; None where it has to be refilled in place."""
    projection = definition.projection
    if method == "refill" or not hasattr(projection, "model"):
        return None
    return shadow_for(
        projection.model,
        projection.key,
        definition.using,
        method=method or None,
        is_made_now=is_made_now,
    )


def refuse_impossible(
    definition: ProjectionSubscription, method: str, shares: int, is_held: bool
) -> None:
    """Raise WhizbangError for a projection that cannot be rebuilt in this way."""
    if method not in ("", *METHODS):
        raise WhizbangError(f"method is {method!r}: use {', '.join(METHODS)}, or leave it out.")
    if not 1 <= shares <= MOST_SHARES:
        raise WhizbangError(f"shares is {shares}: give 1 to {MOST_SHARES}.")
    if shares > 1 and getattr(definition.projection, "partition_by", None) is None:
        raise WhizbangError(
            f"{definition.name} says no partition_by, so one process folds all of its history."
        )
    if method != "swap" and not is_held and shares == 1:
        return
    if find_shadow(definition, method, is_made_now=False) is None:
        raise WhizbangError(_why_no_shadow(definition, method))


def _why_no_shadow(definition: ProjectionSubscription, method: str) -> str:
    projection = definition.projection
    if method == "swap" and hasattr(projection, "model"):
        reasons = why_not_swapped(projection.model, projection.key, definition.using)
        return f"{definition.name} cannot be published by swap: {'; '.join(reasons)}."
    database = connections[definition.using].display_name
    return (
        f"{definition.name} cannot be rebuilt in a table beside the live one (on {database}): it can only "
        "be refilled, in one share and without a pause before it is published."
    )


def kept_row(definition: ProjectionSubscription) -> Subscription:
    """Where the kept rows stand. Raises WhizbangError where none can be put back."""
    shadow = find_shadow(definition, "swap")
    row = twin_row(definition, KEPT)
    if not isinstance(shadow, SwappedShadow) or row is None or not shadow.has_kept():
        raise WhizbangError(
            f"No rows of {definition.name!r} are kept: only a rebuild that was published by swap keeps the "
            "rows it replaced, until they are dropped."
        )
    if (row.version, row.fingerprint) != (definition.version, definition.fingerprint):
        raise WhizbangError(
            f"The kept rows of {definition.name!r} were filled by version {row.version} of its code, or for "
            f"another model, and today's is version {definition.version}: deploy that code first, then undo."
        )
    return row


def kept_since(name: str) -> Any:
    """When the rows of a projection that are kept were replaced; None where none are."""
    row = twin_row(find_projection(event_store(), name), KEPT)
    return None if row is None else row.updated_at


def drop_kept(name: str) -> bool:
    """Drop the rows that the last rebuild replaced; gives whether there were any."""
    definition = find_projection(event_store(), name)
    shadow = find_shadow(definition, "swap")
    if not isinstance(shadow, SwappedShadow) or twin_row(definition, KEPT) is None:
        return False
    shadow.discard_kept()
    forget_twin(definition, KEPT)
    return True
