"""`outbox`: what follows it says what is looked at, or done."""

from __future__ import annotations

import json

from django.core.management.base import BaseCommand

from whizbang.management.verbs.acting import act, add_dry_run, add_reason
from whizbang.management.verbs.base import Options, Parsers, Verb
from whizbang.management.verbs.messages.texts import (
    outbox_facts,
    print_outbox,
    print_whole,
    readable,
)
from whizbang.operations.actions import Action
from whizbang.operations.actions.outbox import DiscardOutbox, SendNow
from whizbang.operations.messages.outbox import (
    MOST_COUNTED,
    find_outbox_message,
    list_outbox,
    waiting_outbox,
)


class OutboxVerb(Verb):
    name = "outbox"
    help = "Look at messages that wait to be sent, and send one now or never."

    def add_to(self, parsers: Parsers) -> None:
        whats = parsers.below(parsers.add_parser(self.name, help=self.help), dest="what")
        waiting = whats.add_parser("waiting", help="How much waits, for whom, and since when.")
        waiting.add_argument("--json", action="store_true")
        listed = whats.add_parser("list", help="What waits, the oldest first.")
        listed.add_argument("--to", default="", metavar="SERVICE")
        listed.add_argument("--after", type=int, default=0, metavar="NUMBER")
        listed.add_argument("--limit", type=int, default=50, metavar="N", help="At most; 50.")
        listed.add_argument("--json", action="store_true")
        show = whats.add_parser("show", help="All of one, with its payload.")
        show.add_argument("id", metavar="ID", help="Its number or its message id.")
        show.add_argument("--json", action="store_true")
        for name, help in (
            ("now", "Let one be handled without its delay, and wake the relay."),
            ("discard", "Never send one that waits."),
        ):
            parser = whats.add_parser(name, help=help)
            parser.add_argument("id", metavar="ID", help="Its number or its message id.")
            add_reason(parser)
            add_dry_run(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        what = options["what"]
        if what == "waiting":
            _print_waiting(command, is_json=options["json"])
        elif what == "list":
            rows = list_outbox(
                service=options["to"], after=options["after"], limit=options["limit"]
            )
            for row in rows:
                print_outbox(command, row, is_json=options["json"])
        elif what == "show":
            _show(command, options)
        else:
            performed = act(command, options, _action(options))
            if performed is not None and performed.is_done:
                command.stdout.write(performed.text)


def _print_waiting(command: BaseCommand, *, is_json: bool) -> None:
    found = waiting_outbox()
    if is_json:
        groups = [{**g._asdict(), "oldest_at": g.oldest_at.isoformat()} for g in found.destinations]
        command.stdout.write(json.dumps({**found._asdict(), "destinations": groups}))
        return
    for group in found.destinations:
        command.stdout.write(
            f"{group.messages:8} to {group.service}, the oldest of {group.oldest_at.isoformat()}"
        )
    if found.is_cut:
        command.stdout.write(f"There are more: these are the oldest {MOST_COUNTED:,}.")


def _show(command: BaseCommand, options: Options) -> None:
    row = find_outbox_message(options["id"])
    facts = outbox_facts(row) | {
        "schema": row.schema,
        "occurred_at": row.occurred_at.isoformat(),
        "expires_at": row.expires_at.isoformat() if row.expires_at else None,
        "metadata": readable(row.metadata),
        "payload": readable(row.payload),
    }
    print_whole(command, facts, is_json=options["json"])


def _action(options: Options) -> Action:
    id = str(find_outbox_message(options["id"]).pk)
    return SendNow(message=id) if options["what"] == "now" else DiscardOutbox(message=id)
