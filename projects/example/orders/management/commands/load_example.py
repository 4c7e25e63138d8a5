"""manage.py load_example"""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from projects.example.orders.loading import Amounts, has_events, load
from projects.example.orders.progress import Progress

_POSTGRES = {
    "events": 10_000_000,
    "streams": 1_000_000,
    "outbox": 1_000_000,
    "inbox": 1_000_000,
    "sagas": 100_000,
    "dead_letters": 100_000,
    "parked": 1_000,
}
_ELSEWHERE_OF = 100  # SQLite and others get one of so many


class Command(BaseCommand):
    help = (
        "Fills the shop with as much as a busy one has after a year, so that the console can be tried on big tables: "
        "by default ten million events in a million streams on PostgreSQL, and a hundredth of that elsewhere. Nothing "
        "of it is handled: projections and sagas take it as seen."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        for name, count in _POSTGRES.items():
            parser.add_argument(
                f"--{name.replace('_', '-')}",
                type=int,
                help=f"default: {count:,} on PostgreSQL, {count // _ELSEWHERE_OF:,} elsewhere",
            )
        parser.add_argument(
            "--add", action="store_true", help="also to a database that has events already"
        )

    def handle(self, **options: Any) -> None:
        if has_events() and not options["add"]:
            raise CommandError(
                "There are events already: these would stay among them for ever. Use another database, or --add."
            )
        amounts = self._amounts(options)
        with Progress(self.stdout, total=amounts.rows, unit="rows") as progress:
            load(amounts, advance=progress.advance, say=progress.say)
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
        self.stdout.write(
            f"Loaded {amounts.events:,} events in {amounts.streams:,} streams, {amounts.outbox:,} outbox rows, "
            f"{amounts.inbox:,} inbox rows, {amounts.sagas:,} sagas and {amounts.dead_letters:,} dead letters."
        )

    def _amounts(self, options: dict[str, Any]) -> Amounts:
        share = 1 if connection.vendor == "postgresql" else _ELSEWHERE_OF
        counts = {
            name: count // share if options[name] is None else options[name]
            for name, count in _POSTGRES.items()
        }
        if min(counts.values()) < 0 or counts["streams"] < 1:
            raise CommandError("Amounts are not negative, and there is at least one stream.")
        if counts["events"] < counts["streams"] + counts["sagas"]:
            raise CommandError(
                "Each stream and each saga has an event at least: ask for more --events."
            )
        return Amounts(**counts)
