"""`dry-run`: today's handlers over a part of history, without a write."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand

from whizbang.management.verbs.acting import act, add_reason
from whizbang.management.verbs.base import Options, Verb
from whizbang.management.verbs.scope import add_scope_arguments, scope_fields
from whizbang.operations.actions.rehearsals import Rehearse, RehearseOutside
from whizbang.operations.dry_run_result import DryRun

_MOST_SAMPLES = 20


class DryRunVerb(Verb):
    name = "dry-run"
    help = "Tell what today's code would change if it read a part of history; writes nothing."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")
        add_scope_arguments(parser)
        parser.add_argument(
            "--allow-outside-effects",
            action="store_true",
            help="Call code in free form and subscribers, whose mails and calls are not undone.",
        )
        parser.add_argument("--json", action="store_true")
        add_reason(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        performed = act(command, options, _action(options))
        if performed is None or performed.done is None:
            return
        found: Any = performed.done.document
        if options["json"]:
            command.stdout.write(json.dumps(found, default=str))
        else:
            _print(command, msgspec.convert(found, DryRun))


def _action(options: Options) -> Rehearse:
    cls = RehearseOutside if options["allow_outside_effects"] else Rehearse
    fields = scope_fields(options)
    return cls(subscription=options["subscription"], samples=_MOST_SAMPLES, **fields)


def _print(command: BaseCommand, result: DryRun) -> None:
    command.stdout.write(f"{result.events} events up to position {result.until}.")
    if not result.statements and not result.messages and not result.recorded:
        command.stdout.write(
            f"Rows: {result.rows_made} would be made, {result.rows_changed} changed, "
            f"{result.rows_removed} removed, {result.rows_same} stay the same."
        )
    for table, count in result.statements.items():
        command.stdout.write(f"  {table}: {count} statements, {result.rows[table]} rows")
    for what, counts in (("would send", result.messages), ("would record", result.recorded)):
        for name, count in counts.items():
            command.stdout.write(f"  {what} {count} {name}")
    for sample in result.samples:
        fields = ", ".join(f"{n} {one!r} -> {other!r}" for n, (one, other) in sample.fields.items())
        command.stdout.write(f"  {sample.key} {sample.change} {fields}".rstrip())
    _print_failures(command, result)


def _print_failures(command: BaseCommand, result: DryRun) -> None:
    for finding in result.failures:
        command.stdout.write(
            command.style.ERROR(
                f"{finding.count} × {finding.kind} {finding.type} (first: {finding.stream} version "
                f"{finding.version}, position {finding.position}): {finding.error}"
            )
        )
    if result.events_set_aside:
        command.stdout.write(f"{result.events_set_aside} events stand behind these.")
