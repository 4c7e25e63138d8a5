"""Who did what: written in the transaction of what was done, to a table and to the log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from whizbang.messages.base import Event
from whizbang.models import Lease, OperatorAction
from whizbang.store.event_store import as_instant, event_store

COMMAND_LINE = "command line"
_LOCK = "whizbang.operators"


class OperatorActed(Event):
    """An operator did something; without payloads, as the row of the audit trail is that has this number."""

    record: int
    action: str
    target: str
    operator: str
    reason: str
    message_id: UUID | None = None
    parameters: dict[str, Any] = {}
    result: str = ""


def record_action(
    action: str,
    target: str,
    *,
    using: str,
    operator: str = "",
    reason: str = "",
    message_id: UUID | None = None,
    parameters: Mapping[str, Any] | None = None,
    result: str = "",
    original: bytes | None = None,
    token: UUID | None = None,
) -> OperatorAction:
    """Note an action in the caller's transaction, so that neither stands without the other.

    `parameters` must not hold payloads: whoever may see the audit trail may see them. `original` is shown
    to those only who may see dead letters, and is not in the log.
    """
    with transaction.atomic(using=using):
        record = OperatorAction.objects.using(using).create(
            action=action,
            target=target[:200],
            operator=operator[:150],
            reason=reason,
            message_id=message_id,
            parameters=dict(parameters or {}),
            result=result,
            original=original,
            token=token,
        )
        _append(record, using)
    return record


def find_actions(
    *,
    since: datetime | date | None = None,
    before: datetime | date | None = None,
    target: str = "",
    operator: str = "",
    action: str = "",
    limit: int = 50,
) -> list[OperatorAction]:
    """What operators did, the newest first; what is given holds together, a date is midnight UTC."""
    wanted = {
        "at__gte": as_instant(since),
        "at__lt": as_instant(before),
        "target": target[:200],
        "operator": operator[:150],
        "action": action,
    }
    rows = OperatorAction.objects.using(event_store().using).defer("original")
    rows = rows.filter(**{name: value for name, value in wanted.items() if value})
    return list(rows.order_by("-id")[:limit])


def audit_stream(moment: datetime) -> str:
    """The stream with what operators did in a month, in UTC."""
    return f"whizbang.Audit-{moment.astimezone(UTC):%Y-%m}"


def take_turn(using: str) -> None:
    """Wait for other operators' actions of this store to end; for the transaction that is open."""
    leases = Lease.objects.using(using)
    leases.bulk_create([Lease(name=_LOCK)], ignore_conflicts=True)
    leases.select_for_update().get(name=_LOCK)


def _append(record: OperatorAction, using: str) -> None:
    store = event_store()
    if store.using != using:  # the log would not commit together with the record
        return
    # Two who append to one stream at once would refuse each other's whole transaction.
    take_turn(using)
    event = OperatorActed(
        record=record.pk,
        action=record.action,
        target=record.target,
        operator=record.operator,
        reason=record.reason,
        message_id=record.message_id,
        parameters=record.parameters,
        result=record.result,
    )
    store.append(audit_stream(record.at), [event], user=record.operator or None)
