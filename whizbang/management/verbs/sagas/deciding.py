"""`saga retry`, `saga skip`, `saga fire` and `saga cancel`."""

from __future__ import annotations

from argparse import ArgumentParser

import msgspec
from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.acting import act, add_dry_run, add_reason, command_line_operator
from whizbang.management.verbs.base import Options, Parsers
from whizbang.management.verbs.sagas import texts
from whizbang.management.verbs.sagas.looking import add_instance
from whizbang.operations.actions import By
from whizbang.operations.actions.sagas import (
    CancelSaga,
    Decision,
    FireTimeoutNow,
    RetrySaga,
    SkipSaga,
)
from whizbang.operations.sagas.decisions import Decided


def add_retry(whats: Parsers) -> None:
    parser = whats.add_parser("retry", help="Let a worker try again what has failed.")
    _add_common(parser)
    parser.add_argument("--timeout", metavar="NAME", default="", help="This one only.")
    add_reason(parser)


def add_skip(whats: Parsers) -> None:
    parser = whats.add_parser("skip", help="Go on without the event or timeout that has failed.")
    _add_common(parser)
    parser.add_argument(
        "--timeout", metavar="NAME", default="", help="This one, where several have failed."
    )
    _add_needed_reason(parser)


def add_fire(whats: Parsers) -> None:
    parser = whats.add_parser("fire", help="Let a timeout be due now: the next worker fires it.")
    add_instance(parser)
    parser.add_argument("timeout", help="Its name.")
    _add_outputs(parser)
    _add_needed_reason(parser)


def add_cancel(whats: Parsers) -> None:
    parser = whats.add_parser("cancel", help="End an instance and undo its steps.")
    _add_common(parser)
    parser.add_argument(
        "--no-compensation", action="store_true", help="Leave its steps as they are."
    )
    _add_needed_reason(parser)


def _add_common(parser: ArgumentParser) -> None:
    add_instance(parser)
    _add_outputs(parser)


def _add_outputs(parser: ArgumentParser) -> None:
    add_dry_run(parser)
    parser.add_argument("--json", action="store_true")


def _add_needed_reason(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--reason",
        "--because",
        dest="reason",
        required=True,
        metavar="TEXT",
        help="Why; it is kept.",
    )


def run_retry(command: BaseCommand, options: Options) -> None:
    saga, key = options["type"], options["key"]
    _decide(command, options, RetrySaga(saga=saga, key=key, timeout=options["timeout"]))


def run_skip(command: BaseCommand, options: Options) -> None:
    _refuse_empty(options["reason"])
    saga, key = options["type"], options["key"]
    _decide(command, options, SkipSaga(saga=saga, key=key, timeout=options["timeout"]))


def run_fire(command: BaseCommand, options: Options) -> None:
    _refuse_empty(options["reason"])
    saga, key = options["type"], options["key"]
    _decide(command, options, FireTimeoutNow(saga=saga, key=key, timeout=options["timeout"]))


def run_cancel(command: BaseCommand, options: Options) -> None:
    _refuse_empty(options["reason"])
    is_compensated = not options["no_compensation"]
    action = CancelSaga(saga=options["type"], key=options["key"], is_compensated=is_compensated)
    _decide(command, options, action)


def _refuse_empty(reason: str) -> None:
    if not reason.strip():
        raise CommandError("Give a reason: somebody will ask why the saga did not go its way.")


def _decide(command: BaseCommand, options: Options, action: Decision) -> None:
    """A dry run goes through the whole decision, so that it tells what only the code of a command knows."""
    if options["dry_run"]:
        by = By(command_line_operator(), options["reason"])
        _tell(command, options, action.decide(by, is_dry_run=True))
        return
    performed = act(command, options, action)
    if performed is not None and performed.done is not None:
        _tell(command, options, msgspec.convert(performed.done.document, Decided))


def _tell(command: BaseCommand, options: Options, decided: Decided) -> None:
    if options["json"]:
        command.stdout.write(texts.as_json(decided))
        return
    for sentence in decided.sentences(is_dry_run=options["dry_run"]):
        command.stdout.write(sentence)
