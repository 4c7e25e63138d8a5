"""`streams`: the events of one stream."""

from __future__ import annotations

import json
from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Verb
from whizbang.store.event_store import event_store


class StreamsVerb(Verb):
    name = "streams"
    help = "Show the events of one stream."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("stream")
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        store = event_store()
        rows = list(store.driver.read_stream(options["stream"]))
        if not rows:
            raise CommandError(f"Stream {options['stream']!r} has no events.")
        for row in rows:
            payload = store.serializer.decode_plain(row.payload)
            if options["json"]:
                fields = {"position": row.position, "version": row.version, "type": row.type}
                fields |= {"occurred_at": row.occurred_at, "data": payload}
                command.stdout.write(json.dumps(fields, default=str))
            else:
                command.stdout.write(
                    f"{row.version:5} {row.occurred_at:%Y-%m-%d %H:%M:%S} {row.type} {payload}"
                )
