"""`manage.py whizbang <verb>`: thin, on whizbang/operations."""

from __future__ import annotations

import json
import signal
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from whizbang.exceptions import WhizbangError
from whizbang.operations.cleanup import cleanup
from whizbang.operations.dead_letters import retry_dead_letter
from whizbang.operations.parked import retry_parked
from whizbang.operations.rebuild import rebuild, request_rebuild
from whizbang.operations.schedule import install_schedule
from whizbang.operations.status import overview
from whizbang.operations.worker import Worker
from whizbang.store.event_store import event_store


class Command(BaseCommand):
    help = "Runs and watches whizbang: worker, status, streams, rebuild, retry, redrive, schedule, cleanup."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        worker = verbs.add_parser("worker", help="Handle commands and feed subscriptions.")
        worker.add_argument("--until-idle", action="store_true", help="Stop when nothing is left.")
        worker.add_argument("--max-seconds", type=float, help="Stop after this time.")
        worker.add_argument("--store", default="default", help="Alias in WHIZBANG['STORES'].")
        status = verbs.add_parser("status", help="Where everything stands.")
        status.add_argument("--json", action="store_true")
        status.add_argument("--watch", action="store_true", help="Repeat every two seconds.")
        streams = verbs.add_parser("streams", help="Show the events of one stream.")
        streams.add_argument("stream")
        streams.add_argument("--json", action="store_true")
        build = verbs.add_parser("rebuild", help="Rebuild a projection from history.")
        build.add_argument("projection")
        build.add_argument("--reason", default="")
        build.add_argument("--now", action="store_true", help="Here, not in a worker.")
        retry = verbs.add_parser("retry", help="Apply parked streams of a subscription again.")
        retry.add_argument("subscription")
        retry.add_argument("--stream")
        redrive = verbs.add_parser("redrive", help="Handle a dead letter once more.")
        redrive.add_argument("id", type=int)
        schedule = verbs.add_parser("schedule", help="Install the django-celery-beat entry.")
        schedule.add_argument("--every-seconds", type=int, default=5)
        verbs.add_parser("cleanup", help="Delete rows that are done with.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['verb']}")(options)
        except WhizbangError as exc:
            raise CommandError(str(exc)) from exc

    def _worker(self, options: dict[str, Any]) -> None:
        worker = Worker(store=options["store"])
        signals = (signal.SIGTERM, signal.SIGINT)
        before = [signal.signal(number, lambda *_: worker.stop()) for number in signals]
        self.stdout.write(f"Worker {worker.name} started.")
        try:
            counts = worker.run(
                until_idle=options["until_idle"], max_seconds=options["max_seconds"]
            )
        finally:
            for number, handler in zip(signals, before, strict=True):
                signal.signal(number, handler)
        self.stdout.write(
            self.style.SUCCESS(
                "Worker stopped: " + ", ".join(f"{n} {k}" for k, n in counts.items())
            )
        )

    def _status(self, options: dict[str, Any]) -> None:
        while True:
            found = overview()
            if options["json"]:
                self.stdout.write(json.dumps(found, default=str))
            else:
                self._print_status(found)
            if not options["watch"]:
                return
            time.sleep(2)

    def _print_status(self, found: dict[str, Any]) -> None:
        self.stdout.write(f"head {found['head']}")
        for item in found["subscriptions"]:
            lag = "inline" if item["lag_events"] is None else f"lag {item['lag_events']}"
            notes = " needs rebuild" if item["needs_rebuild"] else ""
            notes += f" parked {item['parked']}" if item["parked"] else ""
            self.stdout.write(f"  {item['name']:50} {item['status']:8} {lag}{notes}")
        self.stdout.write(f"inbox {found['inbox'] or 'empty'}")
        self.stdout.write(f"outbox {found['outbox']['unsent']} unsent")
        self.stdout.write(f"dead letters {found['dead_letters']}")

    def _streams(self, options: dict[str, Any]) -> None:
        store = event_store()
        rows = list(store.driver.read_stream(options["stream"]))
        if not rows:
            raise CommandError(f"Stream {options['stream']!r} has no events.")
        for row in rows:
            payload = store.serializer.decode_plain(row.payload)
            if options["json"]:
                fields = {"position": row.position, "version": row.version, "type": row.type}
                fields |= {"occurred_at": row.occurred_at, "data": payload}
                self.stdout.write(json.dumps(fields, default=str))
            else:
                self.stdout.write(
                    f"{row.version:5} {row.occurred_at:%Y-%m-%d %H:%M:%S} {row.type} {payload}"
                )

    def _rebuild(self, options: dict[str, Any]) -> None:
        run = request_rebuild(
            options["projection"], requested_by="command line", reason=options["reason"]
        )
        if not options["now"]:
            self.stdout.write(
                f"Rebuild {run.pk} of {run.projection} is requested; a worker does it."
            )
            return
        done = rebuild(event_store(), run)
        self.stdout.write(
            self.style.SUCCESS(f"Rebuilt {done.projection} from {done.events} events.")
        )

    def _retry(self, options: dict[str, Any]) -> None:
        count = retry_parked(options["subscription"], stream=options["stream"])
        self.stdout.write(f"{count} parked streams will be tried again.")

    def _redrive(self, options: dict[str, Any]) -> None:
        self.stdout.write(f"{retry_dead_letter(options['id'])} is in the inbox again.")

    def _schedule(self, options: dict[str, Any]) -> None:
        entry = install_schedule(every_seconds=options["every_seconds"])
        self.stdout.write(self.style.SUCCESS(f"Beat entry {entry.name!r} runs {entry.task}."))

    def _cleanup(self, options: dict[str, Any]) -> None:
        self.stdout.write(", ".join(f"{n} {table}" for table, n in cleanup().items()) + " deleted.")
