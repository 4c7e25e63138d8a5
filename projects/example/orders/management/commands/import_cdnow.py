"""manage.py import_cdnow"""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from projects.example.orders.cdnow import count_lines, find_file
from projects.example.orders.draining import drain
from projects.example.orders.importing import INTERRUPTED, STOPPED, Tally, import_cdnow
from projects.example.orders.progress import Progress


class Command(BaseCommand):
    help = (
        "Imports the CDNOW orders. Lines that are known already are left alone; a bad line is "
        "reported, the rest goes on, and the exit code is 1."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--file", type=Path, help="default: the one in the package lifetimes")
        parser.add_argument("--limit", type=int, help="read only so many orders")
        parser.add_argument(
            "--batch-size", type=int, default=5_000, help="orders stored at a time (default: 5000)"
        )
        parser.add_argument(
            "--drain",
            action="store_true",
            help="place the orders here, and wait until all projections stand at the head; "
            "otherwise a worker does it",
        )

    def handle(self, **options: Any) -> None:
        if options["batch_size"] < 1:
            raise CommandError("--batch-size must be at least 1.")
        path = self._find(options["file"])
        limit = options["limit"]
        try:
            with Progress(self.stdout, total=count_lines(path, limit=limit)) as progress:
                tally = import_cdnow(
                    path,
                    progress=progress,
                    batch_size=options["batch_size"],
                    limit=limit,
                    after_batch=drain if options["drain"] else None,
                )
        except KeyboardInterrupt:
            raise CommandError(STOPPED, returncode=INTERRUPTED) from None
        self._tell(tally, is_drained=options["drain"])

    def _find(self, given: Path | None) -> Path:
        try:
            path = given or find_file()
        except FileNotFoundError as error:
            raise CommandError(str(error)) from error
        if not path.is_file():
            raise CommandError(f"There is no file {path}.")
        return path

    def _tell(self, tally: Tally, *, is_drained: bool) -> None:
        self.stdout.write(f"Imported: {tally}.")
        if tally.accepted and not is_drained:
            self.stdout.write("They are stored; a worker places them: manage.py whizbang worker")
        if tally.bad:
            raise CommandError(f"{tally.bad:,} lines were left out; they are listed above.")
