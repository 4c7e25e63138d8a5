"""`retry` and `skip`: what becomes of parked streams."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.parked import retry_parked, skip_parked


class RetryVerb(Verb):
    name = "retry"
    help = "Apply parked streams of a subscription again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")
        parser.add_argument("--stream", help="What is parked at an event of this stream only.")
        parser.add_argument("--key", help="This key only, where it is partitioned by key.")

    def run(self, command: BaseCommand, options: Options) -> None:
        count = retry_parked(options["subscription"], stream=options["stream"], key=options["key"])
        command.stdout.write(f"{count} parked streams or keys will be tried again.")


class SkipVerb(Verb):
    name = "skip"
    help = "Go on without the event that parked a stream."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")
        parser.add_argument("stream", nargs="?")
        parser.add_argument("--key", help="Instead of a stream, where it is partitioned by key.")
        parser.add_argument("--reason", required=True)

    def run(self, command: BaseCommand, options: Options) -> None:
        try:
            skipped = skip_parked(
                options["subscription"],
                stream=options["stream"],
                key=options["key"],
                reason=options["reason"],
                skipped_by="command line",
            )
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        command.stdout.write(f"{skipped} is left out; a worker applies what follows.")
