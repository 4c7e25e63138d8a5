"""`schedule` and `cleanup`: what runs by the clock."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.cleanup import cleanup
from whizbang.operations.schedule import install_schedule


class ScheduleVerb(Verb):
    name = "schedule"
    help = "Install the django-celery-beat entry."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--every-seconds", type=int, default=5)

    def run(self, command: BaseCommand, options: Options) -> None:
        entry = install_schedule(every_seconds=options["every_seconds"])
        command.stdout.write(command.style.SUCCESS(f"Beat entry {entry.name!r} runs {entry.task}."))


class CleanupVerb(Verb):
    name = "cleanup"
    help = "Delete rows that are done with."

    def run(self, command: BaseCommand, options: Options) -> None:
        counts = cleanup()
        command.stdout.write(", ".join(f"{n} {table}" for table, n in counts.items()) + " deleted.")
