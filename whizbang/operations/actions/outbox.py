"""Messages that wait in the outbox: sent now, or never."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.translation import gettext_lazy as _

from whizbang.models import OutboxMessage
from whizbang.operations.actions.action import Action, By, Done, Fact
from whizbang.operations.messages.outbox import age_of, find_outbox_message
from whizbang.operations.messages.outbox_decisions import (
    check_unsent,
    discard_outbox_message,
    send_now,
    who_learns,
)


class OutboxAction(Action, frozen=True, kw_only=True):
    """Base of what is done to one message of the outbox: its number, or its message id."""

    keeps_record = True
    message: str

    def row(self) -> OutboxMessage:
        return find_outbox_message(self.message)

    def target(self) -> str:
        return f"outbox message {self._number()}"

    def about(self) -> tuple[type[Any], Any]:
        return OutboxMessage, self._number()

    def state(self) -> dict[str, str]:
        row = self.row()
        return {
            "status": "waiting" if row.published_at is None else "sent",
            "due": row.available_at.isoformat(),
        }

    def facts(self) -> Sequence[Fact]:
        row = self.row()
        return [
            Fact("message", f"{row.type} {row.message_id}"),
            Fact("to service", row.service),
            Fact("waits since", f"{row.occurred_at:%Y-%m-%d %H:%M:%S %Z}, {age_of(row):,.0f} s"),
            Fact("to be handled there", f"{row.available_at:%Y-%m-%d %H:%M:%S %Z}"),
        ]

    def check(self) -> None:
        row = self.row()
        check_unsent(row, row.pk)

    def _number(self) -> int:
        """Also of one that is not there any more."""
        return int(self.message) if self.message.isdecimal() else self.row().pk


class SendNow(OutboxAction, frozen=True, kw_only=True):
    name = "send-now"
    label = _("Send now")
    permission = "whizbang.retry_outboxmessage"

    def run(self, by: By) -> Done:
        _, text, record = send_now(self.row().pk, operator=by.operator, reason=by.reason)
        return Done(text, record=record)


class DiscardOutbox(OutboxAction, frozen=True, kw_only=True):
    name = "discard-outbox"
    recorded_as = "discard"
    family = "discard"
    label = _("Discard unsent message")
    permission = "whizbang.discard_outboxmessage"

    def facts(self) -> Sequence[Fact]:
        return [
            *super().facts(),
            Fact("who waits for it", who_learns(self.row())),
            Fact(
                "afterwards",
                "This cannot be undone; the audit trail keeps the payload. A relay that is just "
                "sending it may still do so.",
            ),
        ]

    def run(self, by: By) -> Done:
        done = discard_outbox_message(self.row().pk, operator=by.operator, reason=by.reason)
        return Done(done.text, record=done.record)
