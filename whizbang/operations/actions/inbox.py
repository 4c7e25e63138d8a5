"""Messages that wait in the inbox: handled now, later, or never."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.utils.translation import gettext_lazy as _

from whizbang.drivers.clock import database_now
from whizbang.models import InboxMessage
from whizbang.operations.actions.action import Action, By, Done, Fact
from whizbang.operations.messages.inbox import count_behind, find_inbox_message, why_it_waits
from whizbang.operations.messages.inbox_decisions import (
    check_time,
    check_waiting,
    discard_inbox_message,
    handle_now,
    reschedule,
)


class InboxAction(Action, frozen=True, kw_only=True):
    """Base of what is done to one message of the inbox: its number, or its message id."""

    keeps_record = True
    message: str

    def row(self) -> InboxMessage:
        return find_inbox_message(self.message)

    def target(self) -> str:
        return f"inbox message {self.row().pk}"

    def about(self) -> tuple[type[Any], Any]:
        return InboxMessage, self.row().pk

    def state(self) -> dict[str, str]:
        row = self.row()
        due = row.available_at.isoformat() if row.status != InboxMessage.Status.RUNNING else ""
        return {"status": row.status, "attempts": str(row.attempts), "due": due}

    def facts(self) -> Sequence[Fact]:
        row = self.row()
        return [
            Fact("message", f"{row.type} {row.message_id}"),
            Fact("status", row.status),
            Fact("attempts so far", str(row.attempts)),
            Fact("due", _when(row)),
            *_key_facts(row),
        ]

    def check(self) -> None:
        check_waiting(self.row())


class HandleNow(InboxAction, frozen=True, kw_only=True):
    name = "handle-now"
    label = _("Handle now")
    permission = "whizbang.retry_inboxmessage"

    def run(self, by: By) -> Done:
        _, text, record = handle_now(self.row().pk, operator=by.operator, reason=by.reason)
        return Done(text, record=record)


class Reschedule(InboxAction, frozen=True, kw_only=True):
    name = "reschedule"
    label = _("Reschedule")
    permission = "whizbang.retry_inboxmessage"
    to: datetime

    def facts(self) -> Sequence[Fact]:
        return [
            *super().facts(),
            Fact("due then", f"{self.to:%Y-%m-%d %H:%M:%S %Z}"),
        ]

    def check(self) -> None:
        row = self.row()
        check_waiting(row)
        check_time(row, self.to)

    def run(self, by: By) -> Done:
        done = reschedule(self.row().pk, self.to, operator=by.operator, reason=by.reason)
        return Done(done.text, record=done.record)


class DiscardInbox(InboxAction, frozen=True, kw_only=True):
    name = "discard-inbox"
    recorded_as = "discard"
    family = "discard"
    label = _("Discard message")
    permission = "whizbang.discard_inboxmessage"

    def facts(self) -> Sequence[Fact]:
        row = self.row()
        asked = f"service {row.reply_to} is told that it failed" if row.reply_to else ""
        return [
            *super().facts(),
            Fact("who waits for it", asked or "a receipt says that it failed, with the reason"),
            Fact("afterwards", "This cannot be undone; the audit trail keeps the payload."),
        ]

    def check(self) -> None:
        check_waiting(self.row(), is_abandoned_too=True)

    def run(self, by: By) -> Done:
        done = discard_inbox_message(self.row().pk, operator=by.operator, reason=by.reason)
        return Done(done.text, record=done.record)


def _when(row: InboxMessage) -> str:
    seconds = (row.available_at - database_now(row._state.db or "default")).total_seconds()
    told = f"{row.available_at:%Y-%m-%d %H:%M:%S %Z}"
    why = why_it_waits(row)
    told += f", in {seconds:,.0f} s" if seconds > 0 else ", now"
    return f"{told} ({why})" if why else told


def _key_facts(row: InboxMessage) -> list[Fact]:
    if row.ordering_key is None:
        return []
    return [
        Fact("ordering key", row.ordering_key),
        Fact("messages that wait behind it", f"{count_behind(row):,}"),
    ]
