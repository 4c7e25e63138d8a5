"""Stores messages for later: commands of this service in its inbox, others in the outbox."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from whizbang.conf import settings
from whizbang.domain.tracing import carry, telling_creation
from whizbang.drivers.rows import rows_of
from whizbang.drivers.telemetry import telemetry
from whizbang.messages.envelope import Envelope
from whizbang.messages.hashing import hash_of
from whizbang.messaging.lanes import lane_of
from whizbang.messaging.nudge import nudge_after_commit
from whizbang.messaging.rows import NewInboxRow, columns_of
from whizbang.models import InboxMessage, OutboxMessage
from whizbang.routing.destination import service_of, stored_mode
from whizbang.routing.registry import priority_of


def store_messages(
    envelopes: Sequence[Envelope],
    *,
    using: str,
    mode: str | None = None,
    token: UUID | None = None,
) -> None:
    """Store messages in the caller's transaction and in their order, by two bulk inserts at most.

    A message id that is known already is left as it is; `token` marks the rows that are new, until
    they are claimed. `mode` overrides MODES.
    """
    if not envelopes:
        return
    if not telemetry.is_enabled():
        return _store(envelopes, using, mode, token)
    with telling_creation(envelopes) as traceparent:
        carry(traceparent, envelopes)
        return _store(envelopes, using, mode, token)


def _store(envelopes: Sequence[Envelope], using: str, mode: str | None, token: UUID | None) -> None:
    inbox: list[NewInboxRow] = []
    outbox: list[OutboxMessage] = []
    for envelope in envelopes:
        service = service_of(type(envelope.message))
        if service == settings.SERVICE:
            inbox.append(_inbox_row(envelope, service, using, mode, token))
        else:
            columns = columns_of(envelope, using=using)
            lane = lane_of(columns["ordering_key"], columns["message_id"])
            outbox.append(
                OutboxMessage(service=service, reply_to=envelope.reply_to, lane=lane, **columns)
            )
    if inbox:
        rows_of(InboxMessage, InboxMessage._meta.get_field("id"), using).insert_new(inbox)
    if outbox:
        OutboxMessage.objects.using(using).bulk_create(outbox)
    nudge_after_commit(using)


def _inbox_row(
    envelope: Envelope, service: str, using: str, mode: str | None, token: UUID | None
) -> NewInboxRow:
    columns = columns_of(envelope, using=using)
    return NewInboxRow(
        service=service,
        payload_hash=hash_of(columns["payload"]),
        mode=mode or stored_mode(type(envelope.message)),
        priority=priority_of(type(envelope.message)),
        claim=token,
        **columns,
    )
