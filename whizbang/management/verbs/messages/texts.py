"""Messages as lines and as JSON."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand

from whizbang.models import InboxMessage, OutboxMessage
from whizbang.operations.messages.inbox import why_it_waits
from whizbang.operations.messages.outbox import age_of
from whizbang.operations.status import first_line


def inbox_facts(row: InboxMessage) -> dict[str, Any]:
    return {
        "id": row.pk,
        "service": row.service,
        "message_id": str(row.message_id),
        "type": row.type,
        "status": row.status,
        "why": why_it_waits(row),
        "mode": row.mode,
        "priority": row.priority,
        "attempts": row.attempts,
        "ordering_key": row.ordering_key,
        "available_at": row.available_at.isoformat(),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "finished_at": row.finished_at.isoformat() if row.finished_at else None,
        "error": row.error,
    }


def outbox_facts(row: OutboxMessage) -> dict[str, Any]:
    return {
        "id": row.pk,
        "service": row.service,
        "kind": row.kind,
        "message_id": str(row.message_id),
        "type": row.type,
        "ordering_key": row.ordering_key,
        "reply_to": row.reply_to,
        "age_seconds": round(age_of(row), 3) if row.published_at is None else None,
        "available_at": row.available_at.isoformat(),
        "published_at": row.published_at.isoformat() if row.published_at else None,
    }


def print_inbox(command: BaseCommand, row: InboxMessage, *, is_json: bool) -> None:
    facts = inbox_facts(row)
    if is_json:
        command.stdout.write(json.dumps(facts))
        return
    line = "{id:8} {status:9} {message_id} {type}, {attempts} attempts, due {available_at}"
    told = [line.format(**facts), facts["why"], first_line(row.error)]
    command.stdout.write(", ".join(text for text in told if text))


def print_outbox(command: BaseCommand, row: OutboxMessage, *, is_json: bool) -> None:
    facts = outbox_facts(row)
    if is_json:
        command.stdout.write(json.dumps(facts))
        return
    age = facts["age_seconds"]
    told = "sent" if age is None else f"waits {age:,.0f} s"
    line = "{id:8} to {service} {kind} {message_id} {type}"
    command.stdout.write(f"{line.format(**facts)}, {told}")


def print_whole(command: BaseCommand, facts: dict[str, Any], *, is_json: bool) -> None:
    """All of one message, a line for each fact, or as JSON."""
    if is_json:
        command.stdout.write(json.dumps(facts))
        return
    for name, value in facts.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        command.stdout.write(f"{name}: {shown}")


def readable(stored: Any) -> Any:
    """JSON as it is, else the bytes as text; None where nothing is stored."""
    if stored is None:
        return None
    try:
        return json.loads(bytes(stored))
    except ValueError:
        return bytes(stored).decode("utf-8", "backslashreplace")
