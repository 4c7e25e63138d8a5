"""A projection's other table as a subscription of its own: the new one, and the one that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db.models.functions import Now

from whizbang.drivers.stores.base import StoredRow
from whizbang.models import ParkedStream, Partition, Subscription
from whizbang.projections.subscription import ProjectionSubscription
from whizbang.subscriptions.checkpoint import move_all
from whizbang.subscriptions.identity import store_identity
from whizbang.subscriptions.splitting import cut_parked_by_partitions

NEW, KEPT = "@new", "@old"
TWIN = "rebuild"  # the kind of their subscriptions


class TwinSubscription(ProjectionSubscription):
    """The same code, into a table like the model's, with a checkpoint and parked streams of its own."""

    def __init__(self, live: ProjectionSubscription, suffix: str, table: str) -> None:
        super().__init__(live.store, live.projection)
        self.name = live.name + suffix
        self.kind = TWIN
        self._table, self._live_name = table, live.name

    @property
    def edits_name(self) -> str:
        return self._live_name

    def _apply(self, rows: Sequence[StoredRow], **options: Any) -> None:
        super()._apply(rows, table=self._table, **options)


def twin_row(live: ProjectionSubscription, suffix: str) -> Subscription | None:
    return Subscription.objects.using(live.using).filter(name=live.name + suffix).first()


def begin_twin(live: ProjectionSubscription, suffix: str, *, position: int) -> None:
    """Make the row of a twin anew, at a position of the log."""
    forget_twin(live, suffix)
    _stand(live, suffix, position)
    Subscription.objects.using(live.using).create(
        name=live.name + suffix,
        kind=TWIN,
        store_id=store_identity(live.store).store_id,
        version=live.version,
        fingerprint=live.fingerprint,
    )


def forget_twin(live: ProjectionSubscription, suffix: str) -> None:
    name = live.name + suffix
    ParkedStream.objects.using(live.using).filter(subscription=name).delete()
    Partition.objects.using(live.using).filter(subscription=name).delete()
    Subscription.objects.using(live.using).filter(name=name).delete()


def twin_position(live: ProjectionSubscription, suffix: str) -> int:
    """Up to where its rows have applied the log; it has one partition."""
    rows = Partition.objects.using(live.using).filter(subscription=live.name + suffix)
    return int(rows.values_list("position", flat=True).get())


def _stand(live: ProjectionSubscription, suffix: str, position: int) -> None:
    rows = Partition.objects.using(live.using)
    rows.filter(subscription=live.name + suffix).delete()
    rows.create(subscription=live.name + suffix, position=position)


def take_place(
    live: ProjectionSubscription, suffix: str, *, position: int, keep_as: str | None
) -> None:
    """The twin's standing becomes the live one's, whose own is kept under a suffix, or ends.

    In the transaction that exchanges the tables, and that holds the live one still at `position`.
    """
    rows = Subscription.objects.using(live.using)
    twin, old = rows.get(name=live.name + suffix), rows.get(name=live.name)
    reached = twin_position(live, suffix)
    rows.filter(name=live.name + suffix).delete()
    Partition.objects.using(live.using).filter(subscription=live.name + suffix).delete()
    rows.filter(name=live.name).update(**_standing(twin), error="", updated_at=Now())
    move_all(live, reached)
    if keep_as is not None:
        rows.filter(name=live.name + keep_as).delete()
        rows.create(name=live.name + keep_as, kind=TWIN, **_standing(old))
        # Nobody moves the checkpoint of an inline one: its rows are of this moment.
        _stand(live, keep_as, reached if live.kind == "inline" else position)
    _exchange_parked(live, suffix, keep_as)
    cut_parked_by_partitions(live)


def _standing(row: Subscription) -> dict[str, Any]:
    return {
        "version": row.version,
        "fingerprint": row.fingerprint,
        "store_id": row.store_id,
    }


def _exchange_parked(live: ProjectionSubscription, suffix: str, keep_as: str | None) -> None:
    parked = ParkedStream.objects.using(live.using)
    old, passing = parked.filter(subscription=live.name), f"{live.name}@passing"
    if keep_as is None:
        old.delete()
    else:
        old.update(subscription=passing)
    parked.filter(subscription=live.name + suffix).update(subscription=live.name)
    if keep_as is not None:
        parked.filter(subscription=live.name + keep_as).delete()
        parked.filter(subscription=passing).update(subscription=live.name + keep_as)
