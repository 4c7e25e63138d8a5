"""`schedule` and `cleanup`: what runs by the clock."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict

from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.cleanup import cleanup
from whizbang.operations.schedule import install_schedule, remove_schedule


class ScheduleVerb(Verb):
    name = "schedule"
    help = (
        "Make the django-celery-beat entries by which Celery does a worker's work; safe to repeat."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--every-seconds", type=int, default=5, help="From tick to tick.")
        parser.add_argument("--slots", type=int, default=1, help="Ticks that may work at once.")
        parser.add_argument("--remove", action="store_true", help="Remove the entries instead.")
        parser.add_argument("--dry-run", action="store_true", help="What would be done?")
        parser.add_argument("--json", action="store_true")
        parser.add_argument("--store", default="default", help="Alias in WHIZBANG['STORES'].")

    def run(self, command: BaseCommand, options: Options) -> None:
        store, dry_run = options["store"], options["dry_run"]
        if options["remove"]:
            changes = remove_schedule(store=store, dry_run=dry_run)
        else:
            changes = install_schedule(
                every_seconds=options["every_seconds"],
                slots=options["slots"],
                store=store,
                dry_run=dry_run,
            )
        if options["json"]:
            command.stdout.write(json.dumps([asdict(change) for change in changes]))
            return
        for change in changes:
            note = "" if change.is_enabled or change.what == "removed" else ", but disabled"
            command.stdout.write(f"{change.name}: {change.what}{note}")
        if not changes:
            command.stdout.write("No entries are there.")
        elif dry_run:
            command.stdout.write("Nothing was written.")


class CleanupVerb(Verb):
    name = "cleanup"
    help = "Delete rows that are done with."

    def run(self, command: BaseCommand, options: Options) -> None:
        counts = cleanup()
        command.stdout.write(", ".join(f"{n} {table}" for table, n in counts.items()) + " deleted.")
