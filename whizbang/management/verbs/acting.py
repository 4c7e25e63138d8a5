"""How verbs do what operators do: through `perform`, as the console does, with who and why."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options
from whizbang.operations.actions import Action, By, Performed, perform

NO_REASON = "(none given)"


def add_reason(parser: ArgumentParser) -> None:
    """`--reason`, and `--because` as another word for it."""
    parser.add_argument(
        "--reason",
        "--because",
        dest="reason",
        default="",
        metavar="TEXT",
        help="Why; it is kept. A terminal asks for it.",
    )


def add_dry_run(parser: ArgumentParser) -> None:
    """`--dry-run`: `act` then tells and does nothing."""
    parser.add_argument("--dry-run", action="store_true", help="Tell what would happen, only.")


def act(command: BaseCommand, options: Options, action: Action) -> Performed | None:
    """Do an action here, also one that takes long; None for a dry run, which tells what would happen.

    Where FOUR_EYES names it, it is requested instead, and the command says so.
    """
    if options.get("dry_run"):
        _tell(command, action)
        return None
    by = operator_by(options) if action.needs_reason else _by_without_asking(options)
    performed = perform(action, by, is_here=True)
    if not performed.is_done:
        command.stdout.write(command.style.WARNING(performed.text))
    return performed


def act_and_say(command: BaseCommand, options: Options, action: Action) -> Performed | None:
    """See act(); writes what was done."""
    performed = act(command, options, action)
    if performed is not None and performed.is_done:
        command.stdout.write(performed.text)
    return performed


def operator_by(options: Options) -> By:
    """Who uses the command line, and the reason that was given, or that a terminal asks for."""
    reason = options["reason"].strip()
    if not reason:
        reason = _ask() if sys.stdin is not None and sys.stdin.isatty() else NO_REASON
    return By(command_line_operator(), reason)


def _by_without_asking(options: Options) -> By:
    return By(command_line_operator(), options.get("reason") or NO_REASON)


def command_line_operator() -> str:
    """Such as "command line (anna)", as the operating system knows its users."""
    try:
        return f"command line ({getpass.getuser()})"
    except (KeyError, OSError):  # a container's user without a name
        return "command line"


def _ask() -> str:
    sys.stderr.write("Why? It is kept: ")
    sys.stderr.flush()
    reason = sys.stdin.readline().strip()
    if not reason:
        raise CommandError("Give a reason: --reason TEXT.")
    return reason


def _tell(command: BaseCommand, action: Action) -> None:
    action.check()
    command.stdout.write(f"{action.name} {action.target()}: nothing is done, this would happen.")
    for fact in action.facts():
        command.stdout.write(f"  {fact.name}: {fact.value}")
