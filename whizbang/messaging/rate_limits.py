"""Rate limits: which of the messages being claimed may run now, and when the others may.

A limit gives out tokens one interval apart, each to one message, for all workers of the service. So a message
is held back once: it gets the next token that is free, and waits in the queue until that is due. Those
that come later get later tokens, and do not overtake it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db.models.functions import Now

from whizbang.conf import settings
from whizbang.drivers.rows import rows_of
from whizbang.messages.types import find_type
from whizbang.models import InboxMessage, RateLimit
from whizbang.routing.rate import Rate
from whizbang.routing.registry import registry

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def hold_back(rows: Sequence[InboxMessage], *, using: str) -> list[InboxMessage]:
    """Move what is over its limit to when it may run, in the transaction that claims; gives the rest.

    No attempt is used up. The limits' rows are locked until that transaction ends, in the order of
    their names, so that two workers do not wait for each other in a circle.
    """
    groups: dict[str, tuple[Rate, list[InboxMessage]]] = {}
    for row in rows:
        found = _rate_of(row.type)
        if found is not None:
            name, rate = found
            groups.setdefault(name, (rate, []))[1].append(row)
    moved: list[tuple[int, datetime, datetime]] = []
    for name, (rate, limited) in sorted(groups.items()):
        moved += _assign(name, rate, limited, using)
    if not moved:
        return list(rows)
    key = InboxMessage._meta.get_field("id")
    rows_of(InboxMessage, key, using).set_columns(["available_at", "token_at"], moved)
    held = {pk for pk, _, _ in moved}
    return [row for row in rows if row.pk not in held]


def _rate_of(type_name: str) -> tuple[str, Rate] | None:
    """The name under which a type's tokens are counted, and its handler's limit; None without one."""
    message_type = find_type(type_name)
    handler = registry.handler_of(message_type) if message_type is not None else None
    if message_type is None or handler is None or handler.rate is None:
        return None
    return message_type.__whizbang__.type_name, handler.rate


def _assign(
    name: str, rate: Rate, rows: Sequence[InboxMessage], using: str
) -> list[tuple[int, datetime, datetime]]:
    """Give tokens to messages that have none: key, due time and token of those that have to wait for it."""
    limit, now = _lock(name, using)
    wanting = [row for row in rows if not _has_token(row, now, rate)]
    waiting: list[tuple[int, datetime, datetime]] = []
    token = max(limit.next_at, now - rate.burst)
    for row in wanting:
        if token > now:
            waiting.append((row.pk, token, token))
        token += rate.interval
    if wanting:
        limit.next_at = token
        limit.save(using=using, update_fields=["next_at"])
    return waiting


def _has_token(row: InboxMessage, now: datetime, rate: Rate) -> bool:
    """Is it due because its token is? What was retried, or left lying for long, needs another one."""
    return row.token_at == row.available_at and row.available_at >= now - rate.slack


def _lock(name: str, using: str) -> tuple[RateLimit, datetime]:
    """A limit's row, locked, and the database's time."""
    rows = RateLimit.objects.using(using).filter(service=settings.SERVICE, type=name)
    locked = rows.select_for_update().annotate(now=Now())
    found = locked.first()
    if found is None:
        made = RateLimit(service=settings.SERVICE, type=name, next_at=_LONG_AGO)
        # Not by INSERT IGNORE: on MariaDB rivals would share a lock that each then wants for itself.
        key = RateLimit._meta.pk
        rows_of(RateLimit, key, using).insert_new([made])
        found = locked.get()
    return found, found.now
