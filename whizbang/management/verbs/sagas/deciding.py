"""`saga retry`, `saga skip` and `saga cancel`."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Parsers
from whizbang.management.verbs.sagas import texts
from whizbang.management.verbs.sagas.looking import add_instance
from whizbang.operations.audit import COMMAND_LINE
from whizbang.operations.sagas.decisions import (
    Decided,
    cancel_instance,
    retry_step,
    skip_step,
)


def add_retry(whats: Parsers) -> None:
    parser = whats.add_parser("retry", help="Let a worker try again what has failed.")
    _add_common(parser)
    parser.add_argument("--timeout", metavar="NAME", help="This one only.")
    parser.add_argument("--reason", default="", help="It is kept.")


def add_skip(whats: Parsers) -> None:
    parser = whats.add_parser("skip", help="Go on without the event or timeout that has failed.")
    _add_common(parser)
    parser.add_argument("--timeout", metavar="NAME", help="This one, where several have failed.")
    parser.add_argument("--reason", required=True, help="Why; it is kept.")


def add_cancel(whats: Parsers) -> None:
    parser = whats.add_parser("cancel", help="End an instance and undo its steps.")
    _add_common(parser)
    parser.add_argument(
        "--no-compensation", action="store_true", help="Leave its steps as they are."
    )
    parser.add_argument("--reason", required=True, help="Why; it is kept.")


def _add_common(parser: ArgumentParser) -> None:
    add_instance(parser)
    parser.add_argument("--dry-run", action="store_true", help="Tell what would be done, only.")
    parser.add_argument("--json", action="store_true")


def run_retry(command: BaseCommand, options: Options) -> None:
    decided = retry_step(
        options["type"],
        options["key"],
        timeout=options["timeout"],
        operator=COMMAND_LINE,
        reason=options["reason"],
        is_dry_run=options["dry_run"],
    )
    _tell(command, options, decided, "tried again by a worker")


def run_skip(command: BaseCommand, options: Options) -> None:
    _refuse_empty(options["reason"])
    decided = skip_step(
        options["type"],
        options["key"],
        reason=options["reason"],
        timeout=options["timeout"],
        operator=COMMAND_LINE,
        is_dry_run=options["dry_run"],
    )
    _tell(command, options, decided, "left out")


def run_cancel(command: BaseCommand, options: Options) -> None:
    _refuse_empty(options["reason"])
    decided = cancel_instance(
        options["type"],
        options["key"],
        reason=options["reason"],
        operator=COMMAND_LINE,
        is_compensated=not options["no_compensation"],
        is_dry_run=options["dry_run"],
    )
    _tell(command, options, decided, "given up")


def _refuse_empty(reason: str) -> None:
    if not reason.strip():
        raise CommandError("Give a reason: somebody will ask why the saga did not go its way.")


def _tell(command: BaseCommand, options: Options, decided: Decided, done: str) -> None:
    if options["json"]:
        command.stdout.write(texts.as_json(decided))
        return
    would = "would be" if options["dry_run"] else "is"
    if decided.action == "cancel":
        command.stdout.write(f"{decided.saga} {decided.key} {would} cancelled.")
    for what in (*([decided.event] if decided.event else []), *decided.timeouts):
        kind = "event" if what == decided.event else "timeout"
        command.stdout.write(f"The {kind} {what} {would} {done}.")
    for sent in decided.commands:
        command.stdout.write(f"{sent} {would} sent.")
