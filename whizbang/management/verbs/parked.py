"""`retry`, `skip` and `park`: what becomes of parked streams."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.acting import act_and_say, add_dry_run, add_reason
from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.actions.parked import Park, Retry, Skip


class RetryVerb(Verb):
    name = "retry"
    help = "Apply parked streams of a subscription again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")
        parser.add_argument("--stream", help="What is parked at an event of this stream only.")
        parser.add_argument("--key", help="This key only, where it is partitioned by key.")
        add_reason(parser)
        add_dry_run(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        act_and_say(command, options, Retry(**_of(options)))


class SkipVerb(Verb):
    name = "skip"
    help = "Go on without the event that parked a stream."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")
        parser.add_argument("stream", nargs="?")
        parser.add_argument("--key", help="Instead of a stream, where it is partitioned by key.")
        add_reason(parser)
        add_dry_run(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        if not (options["reason"].strip() or options["dry_run"]):
            raise CommandError("Give a reason: somebody will ask why the event is missing.")
        act_and_say(command, options, Skip(**_of(options)))


class ParkVerb(Verb):
    name = "park"
    help = "Set a stream aside for a subscription, from its next event on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")
        parser.add_argument("stream")
        add_reason(parser)
        add_dry_run(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        action = Park(subscription=options["subscription"], stream=options["stream"])
        act_and_say(command, options, action)


def _of(options: Options) -> Options:
    return {name: options[name] for name in ("subscription", "stream", "key")}
