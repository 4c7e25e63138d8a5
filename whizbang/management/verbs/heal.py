"""`heal`: make anew what one stream wrote into a read model."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from whizbang.management.verbs.acting import act, add_dry_run, add_reason
from whizbang.management.verbs.base import Options, Verb, event_counter
from whizbang.operations.actions.parked import Heal, telling_progress


class HealVerb(Verb):
    name = "heal"
    help = "Replay one stream into a projection, in place of what it wrote there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("projection")
        parser.add_argument("stream")
        add_reason(parser)
        add_dry_run(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        action = Heal(subscription=options["projection"], stream=options["stream"])
        with telling_progress(event_counter()):
            performed = act(command, options, action)
        if performed is not None and performed.is_done:
            command.stdout.write(command.style.SUCCESS(performed.text))
