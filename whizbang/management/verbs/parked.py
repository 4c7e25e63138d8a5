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
        parser.add_argument("--stream")

    def run(self, command: BaseCommand, options: Options) -> None:
        count = retry_parked(options["subscription"], stream=options["stream"])
        command.stdout.write(f"{count} parked streams will be tried again.")


class SkipVerb(Verb):
    name = "skip"
    help = "Go on without the event that parked a stream."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")
        parser.add_argument("stream")
        parser.add_argument("--reason", required=True)

    def run(self, command: BaseCommand, options: Options) -> None:
        try:
            skipped = skip_parked(
                options["subscription"],
                stream=options["stream"],
                reason=options["reason"],
                skipped_by="command line",
            )
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        command.stdout.write(f"{skipped} is left out; a worker applies what follows.")
