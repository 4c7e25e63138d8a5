"""`redrive` and `redrives`: dead letters that are handled once more."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Verb
from whizbang.management.verbs.dead_letters import for_each
from whizbang.management.verbs.letter_filter import add_filter_arguments, filter_of
from whizbang.models import DeadLetter, Redrive
from whizbang.operations.audit import COMMAND_LINE
from whizbang.operations.dead_letters import retry_dead_letter
from whizbang.operations.letter_filter import LetterFilter
from whizbang.operations.redrive import cancel_redrive, count_letters, redrives, request_redrive
from whizbang.operations.status import first_line


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
        if options["cancel"] is not None:
            run = cancel_redrive(
                options["cancel"], operator=COMMAND_LINE, reason=options["because"]
            )
            command.stdout.write(f"Redrive {run.pk} is cancelled, {run.done} of {run.total} done.")
            return
        chosen = _chosen(options)
        if options["dry_run"]:
            _print_plan(command, chosen, options["rate"])
        elif chosen == LetterFilter.of(ids=options["ids"]) and not _needs_worker(options):
            _redrive_now(command, options)
        else:
            _request(command, chosen, options)


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
    chosen = filter_of(options, ids=options["ids"])
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


def _redrive_now(command: BaseCommand, options: Options) -> None:
    def redrive(letter: DeadLetter) -> str:
        done = retry_dead_letter(letter.pk, operator=COMMAND_LINE, reason=options["because"])
        return str(done)

    for_each(command, options["ids"], redrive)


def _request(command: BaseCommand, chosen: LetterFilter, options: Options) -> None:
    run = request_redrive(
        chosen,
        rate_per_second=options["rate"],
        is_keeping_going=options["keep_going"],
        requested_by=COMMAND_LINE,
        reason=options["because"],
    )
    command.stdout.write(f"Redrive {run.pk} is requested: {run.total} messages; a worker does it.")


def _facts_of(run: Redrive) -> dict[str, Any]:
    names = (
        "id status filter total done handled failed canary rate_per_second is_keeping_going "
        "requested_by reason error requested_at started_at finished_at"
    )
    return {name: getattr(run, name) for name in names.split()}
