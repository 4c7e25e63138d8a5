"""`redrive` and `redrives`: dead letters that are handled once more."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.acting import act
from whizbang.management.verbs.base import Options, Verb
from whizbang.management.verbs.dead_letters import for_each
from whizbang.management.verbs.letter_filter import add_filter_arguments, filter_of
from whizbang.models import Redrive
from whizbang.operations.actions import Action
from whizbang.operations.actions.dead_letters import CancelRedrive, RedriveLetters
from whizbang.operations.letter_filter import LetterFilter
from whizbang.operations.redrive import count_letters, redrives
from whizbang.operations.status import first_line
from whizbang.store.event_store import as_instant


class RedriveVerb(Verb):
    name = "redrive"
    help = "Handle dead letters once more: those of these ids at once, others by a worker."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "ids", nargs="*", metavar="ID", help="Numbers or message ids that `deadletters` shows."
        )
        add_filter_arguments(parser)
        parser.add_argument("--all", action="store_true", help="All letters there are.")
        parser.add_argument(
            "--rate", type=float, metavar="N", help="By a worker, at most N a second."
        )
        parser.add_argument(
            "--keep-going", action="store_true", help="Past letters that die again."
        )
        parser.add_argument("--dry-run", action="store_true", help="How many are there?")
        parser.add_argument("--cancel", type=int, metavar="NUMBER", help="End this redrive.")
        parser.add_argument("--because", default="", metavar="TEXT", help="Why; it is kept.")

    def run(self, command: BaseCommand, options: Options) -> None:
        # Here --reason says of what the letters died.
        options = options | {"reason": options["because"], "cause": options["reason"]}
        if options["cancel"] is not None:
            _do(command, options, CancelRedrive(redrive=options["cancel"]))
            return
        chosen = _chosen(options)
        if options["dry_run"]:
            _print_plan(command, chosen, options["rate"])
        elif chosen == LetterFilter.of(ids=options["ids"]) and not _needs_worker(options):
            for_each(command, options, lambda letter: RedriveLetters(ids=str(letter.pk)))
        else:
            _do(command, options, _request(chosen, options))


class RedrivesVerb(Verb):
    name = "redrives"
    help = "List redrives, the newest first."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        for run in redrives():
            facts = _facts_of(run)
            if options["json"]:
                command.stdout.write(json.dumps(facts, default=str))
                continue
            line = "{id:6} {status} {done} of {total}, {handled} handled, {failed} failed; {chosen}"
            line += " by {requested_by}" + (": {reason}" if run.reason else "")
            command.stdout.write(line.format(**facts, chosen=LetterFilter.from_plain(run.filter)))
            if run.error:
                command.stdout.write(command.style.WARNING(f"    {first_line(run.error)}"))


def _needs_worker(options: Options) -> bool:
    return not options["ids"] or options["rate"] is not None or options["keep_going"]


def _chosen(options: Options) -> LetterFilter:
    chosen = filter_of(options | {"reason": options["cause"]}, ids=options["ids"])
    if options["all"] == bool(chosen.to_plain()):
        raise CommandError(
            "Say which dead letters: ids, --type, --reason, --since and --before, or --all."
        )
    return chosen


def _print_plan(command: BaseCommand, chosen: LetterFilter, rate: float | None) -> None:
    count = count_letters(chosen)
    if not count:
        raise CommandError(f"There is no such dead letter ({chosen}).")
    lasts = f", in about {count / rate:.0f} s" if rate else ""
    command.stdout.write(f"{count} dead letters would be handled once more{lasts}.")


def _request(chosen: LetterFilter, options: Options) -> RedriveLetters:
    return RedriveLetters(
        ids=",".join(chosen.ids),
        type=chosen.type,
        cause=chosen.reason,
        since=as_instant(chosen.since),
        before=as_instant(chosen.before),
        is_all=options["all"],
        rate_per_second=options["rate"],
        is_keeping_going=options["keep_going"],
    )


def _do(command: BaseCommand, options: Options, action: Action) -> None:
    performed = act(command, options, action)
    if performed is not None and performed.is_done:
        command.stdout.write(performed.text)


def _facts_of(run: Redrive) -> dict[str, Any]:
    names = (
        "id status filter total done handled failed canary rate_per_second is_keeping_going "
        "requested_by reason error requested_at started_at finished_at"
    )
    return {name: getattr(run, name) for name in names.split()}
