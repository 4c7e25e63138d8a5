"""`deadletters` and `discard`: messages that were given up."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from whizbang.exceptions import WhizbangError
from whizbang.management.verbs.acting import act, add_dry_run, add_reason, operator_by
from whizbang.management.verbs.base import Options, Verb
from whizbang.management.verbs.edits import payload_from
from whizbang.management.verbs.letter_filter import add_filter_arguments
from whizbang.management.verbs.scope import instant
from whizbang.models import DeadLetter
from whizbang.operations.actions import Action
from whizbang.operations.actions.dead_letters import DiscardLetters, EditLetter
from whizbang.operations.dead_letters import (
    find_dead_letter,
    find_dead_letters,
    group_dead_letters,
)
from whizbang.operations.letter_discards import newest_letter
from whizbang.operations.status import first_line
from whizbang.store.event_store import as_instant


class DeadLettersVerb(Verb):
    name = "deadletters"
    help = "List messages that were given up, show one, or redrive an edited copy of one."

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_filter_arguments(parser)
        parser.add_argument("--json", action="store_true")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--groups", action="store_true", help="Count them by type and reason.")
        what.add_argument("--show", metavar="ID", help="All of one, with its payload.")
        what.add_argument("--edit", metavar="ID", help="Redrive a copy with the payload of --file.")
        parser.add_argument("--file", help="JSON with the whole payload; - reads it from stdin.")
        parser.add_argument("--because", default="", metavar="TEXT", help="Why it is edited.")
        add_dry_run(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        if options["show"]:
            _show(command, find_dead_letter(options["show"]), is_json=options["json"])
        elif options["edit"]:
            _edit(command, options)
        elif options["groups"]:
            _print_groups(command, is_json=options["json"])
        else:
            _list(command, options)


class DiscardVerb(Verb):
    name = "discard"
    help = "Give dead letters up for good."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", nargs="*", metavar="ID", help="Numbers or message ids.")
        chosen = parser.add_argument_group("or all that match; what is given holds together")
        chosen.add_argument("--type", default="", metavar="NAME", help="Of this message type.")
        chosen.add_argument(
            "--cause", default="", metavar="NAME", help="That died of this, an exception's class."
        )
        chosen.add_argument(
            "--since", type=instant, metavar="TIME", help="That died then or later."
        )
        chosen.add_argument("--before", type=instant, metavar="TIME", help="That died before.")
        chosen.add_argument("--all", action="store_true", help="All letters there are.")
        add_reason(parser)
        add_dry_run(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        if not (options["reason"].strip() or options["dry_run"]):
            raise CommandError("Give a reason: somebody will ask where the message is.")
        if options["ids"]:
            for_each(command, options, lambda letter: DiscardLetters(ids=str(letter.pk)))
            return
        performed = act(command, options, _matching(options))
        if performed is not None and performed.is_done:
            command.stdout.write(performed.text)


def _matching(options: Options) -> DiscardLetters:
    return DiscardLetters(
        type=options["type"],
        cause=options["cause"],
        since=as_instant(options["since"]),
        before=as_instant(options["before"]),
        is_all=options["all"],
        until=newest_letter(),
    )


def for_each(
    command: BaseCommand, options: Options, action_on: Callable[[DeadLetter], Action]
) -> None:
    """Do it to each letter of `ids`. Raises CommandError at the end where one could not be done."""
    failed = 0
    if not options["dry_run"]:
        options = options | {"reason": operator_by(options).reason}  # asked for once
    for id in dict.fromkeys(options["ids"]):
        try:
            performed = act(command, options, action_on(find_dead_letter(id)))
            if performed is not None and performed.is_done:
                command.stdout.write(performed.text)
        except WhizbangError as exc:
            failed += 1
            problem = str(exc)
            command.stderr.write(command.style.ERROR(problem))
    if failed:
        raise CommandError(problem if failed == 1 else f"{failed} of them are left as they were.")


def _list(command: BaseCommand, options: Options) -> None:
    names = ("type", "reason", "since", "before")
    for letter in find_dead_letters(**{name: options[name] for name in names}):
        facts = _facts_of(letter)
        if options["json"]:
            command.stdout.write(json.dumps(facts))
        else:
            facts["error"] = first_line(letter.error)
            command.stdout.write("{id:6} {message_id} {type} {error}".format(**facts))


def _print_groups(command: BaseCommand, *, is_json: bool) -> None:
    for group in group_dead_letters():
        facts = {**group._asdict(), "newest_at": group.newest_at.isoformat()}
        line = "{letters:6} {type} {reason}, newest {newest_at}".format(**facts)
        command.stdout.write(json.dumps(facts) if is_json else line)


def _show(command: BaseCommand, letter: DeadLetter, *, is_json: bool) -> None:
    facts = _facts_of(letter) | {
        "schema": letter.schema,
        "occurred_at": letter.occurred_at.isoformat(),
        "metadata": _readable(letter.metadata),
        "payload": _readable(letter.payload),
    }
    if letter.document is not None:
        facts["document"] = _readable(letter.document)
    facts["traceback"] = letter.traceback
    if is_json:
        command.stdout.write(json.dumps(facts))
        return
    for name, value in facts.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
        command.stdout.write(f"{name}: {shown}")


def _edit(command: BaseCommand, options: Options) -> None:
    if not options["file"]:
        raise CommandError("Say where the payload is: --file payload.json.")
    action = EditLetter(
        letter=find_dead_letter(options["edit"]).pk, payload=payload_from(options["file"])
    )
    performed = act(command, options | {"reason": options["because"]}, action)
    if performed is not None and performed.is_done:
        command.stdout.write(performed.text)


def _readable(stored: Any) -> Any:
    """JSON as it is, else the bytes as text."""
    try:
        return json.loads(bytes(stored))
    except ValueError:
        return bytes(stored).decode("utf-8", "backslashreplace")


def _facts_of(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.pk,
        "message_id": str(letter.message_id),
        "type": letter.type,
        "reason": letter.reason,
        "error": letter.error,
        "attempts": letter.attempts,
        "died_at": letter.died_at.isoformat(),
    }
