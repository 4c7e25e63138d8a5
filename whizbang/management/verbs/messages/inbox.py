"""`inbox`: what follows it says what is looked at, or done."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, date, datetime, time

from django.core.management.base import BaseCommand

from whizbang.management.verbs.acting import act, add_dry_run, add_reason
from whizbang.management.verbs.base import Options, Parsers, Verb
from whizbang.management.verbs.messages.texts import (
    inbox_facts,
    print_inbox,
    print_whole,
    readable,
)
from whizbang.management.verbs.scope import instant
from whizbang.models import InboxMessage
from whizbang.operations.actions import Action
from whizbang.operations.actions.inbox import DiscardInbox, HandleNow, Reschedule
from whizbang.operations.messages.inbox import find_inbox_message, list_inbox, list_scheduled


class InboxVerb(Verb):
    name = "inbox"
    help = "Look at messages to handle, and handle one now, later or never."

    def add_to(self, parsers: Parsers) -> None:
        whats = parsers.below(parsers.add_parser(self.name, help=self.help), dest="what")
        _add_list(whats)
        scheduled = whats.add_parser("scheduled", help="What is due later, the soonest first.")
        _add_page(scheduled)
        show = whats.add_parser("show", help="All of one, with its payload.")
        show.add_argument("id", metavar="ID", help="Its number or its message id.")
        show.add_argument("--json", action="store_true")
        _add_decision(whats, "now", "Let one that waits be handled at once.")
        later = _add_decision(whats, "reschedule", "Let one that waits be handled at another time.")
        later.add_argument("--to", type=instant, required=True, metavar="TIME")
        _add_decision(whats, "discard", "Give one up that waits; also one that is scheduled.")

    def run(self, command: BaseCommand, options: Options) -> None:
        what = options["what"]
        if what == "list":
            _print(command, options, list_inbox(**_list_options(options)))
        elif what == "scheduled":
            _print(command, options, list_scheduled(limit=options["limit"]))
        elif what == "show":
            _show(command, options)
        else:
            performed = act(command, options, _action(options))
            if performed is not None and performed.is_done:
                command.stdout.write(performed.text)


def _add_list(whats: Parsers) -> None:
    parser = whats.add_parser("list", help="The newest first.")
    parser.add_argument("--status", nargs="+", choices=InboxMessage.Status.values, default=[])
    parser.add_argument("--type", default="", metavar="NAME")
    parser.add_argument("--before", type=int, metavar="NUMBER", help="Older than this one.")
    _add_page(parser)


def _add_page(parser: ArgumentParser) -> None:
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="At most; 50.")
    parser.add_argument("--json", action="store_true")


def _add_decision(whats: Parsers, name: str, help: str) -> ArgumentParser:
    parser = whats.add_parser(name, help=help)
    parser.add_argument("id", metavar="ID", help="Its number or its message id.")
    add_reason(parser)
    add_dry_run(parser)
    return parser


def _list_options(options: Options) -> Options:
    names = ("type", "before", "limit")
    return {"statuses": options["status"], **{name: options[name] for name in names}}


def _print(command: BaseCommand, options: Options, rows: list[InboxMessage]) -> None:
    for row in rows:
        print_inbox(command, row, is_json=options["json"])


def _show(command: BaseCommand, options: Options) -> None:
    row = find_inbox_message(options["id"])
    facts = inbox_facts(row) | {
        "schema": row.schema,
        "occurred_at": row.occurred_at.isoformat(),
        "reply_to": row.reply_to,
        "metadata": readable(row.metadata),
        "payload": readable(row.payload),
        "traceback": row.traceback,
    }
    print_whole(command, facts, is_json=options["json"])


def _action(options: Options) -> Action:
    id = str(find_inbox_message(options["id"]).pk)
    if options["what"] == "now":
        return HandleNow(message=id)
    if options["what"] == "discard":
        return DiscardInbox(message=id)
    return Reschedule(message=id, to=_moment(options["to"]))


def _moment(given: datetime | date) -> datetime:
    """A date is midnight UTC."""
    return given if isinstance(given, datetime) else datetime.combine(given, time(), UTC)
