"""`worker`: handle commands and feed subscriptions."""

from __future__ import annotations

import signal
from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.worker import Worker
from whizbang.operations.worker_parts import PARTS


class WorkerVerb(Verb):
    name = "worker"
    help = "Handle commands and feed subscriptions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="Stop when nothing is left.")
        parser.add_argument("--max-seconds", type=float, help="Stop after this time.")
        parser.add_argument(
            "--only",
            nargs="+",
            choices=list(PARTS),
            default=list(PARTS),
            metavar="PART",
            help=f"Do these parts and leave the others to other workers: {', '.join(PARTS)}.",
        )
        parser.add_argument("--store", default="default", help="Alias in WHIZBANG['STORES'].")

    def run(self, command: BaseCommand, options: Options) -> None:
        worker = Worker(store=options["store"], only=options["only"])
        signals = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, lambda *_: worker.stop()) for number in signals]
        command.stdout.write(f"Worker {worker.name} started.")
        try:
            counts = worker.run(
                until_idle=options["until_idle"], max_seconds=options["max_seconds"]
            )
        finally:
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)
        command.stdout.write(
            command.style.SUCCESS(
                "Worker stopped: " + ", ".join(f"{n} {k}" for k, n in counts.items())
            )
        )
