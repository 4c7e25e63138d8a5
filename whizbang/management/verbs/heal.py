"""`heal`: make anew what one stream wrote into a read model."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Verb, event_counter
from whizbang.operations.heal import heal_stream


class HealVerb(Verb):
    name = "heal"
    help = "Replay one stream into a projection, in place of what it wrote there."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("projection")
        parser.add_argument("stream")
        parser.add_argument("--reason", default="", help="For the log of the process.")

    def run(self, command: BaseCommand, options: Options) -> None:
        healed = heal_stream(
            options["projection"],
            options["stream"],
            reason=options["reason"],
            healed_by="command line",
            progress=event_counter(),
        )
        text = f"{healed.stream} is healed in {healed.projection}: {healed.events} events"
        if healed.rows is not None:
            text += f", {healed.rows} rows written, {healed.removed} removed"
        text += "; it is not parked any more." if healed.was_parked else "."
        command.stdout.write(command.style.SUCCESS(text))
