"""`rebuild`: fold a projection's history anew."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.rebuild import rebuild_here, request_rebuild


class RebuildVerb(Verb):
    name = "rebuild"
    help = "Rebuild a projection from history."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("projection")
        parser.add_argument("--reason", default="")
        parser.add_argument("--now", action="store_true", help="Here, not in a worker.")

    def run(self, command: BaseCommand, options: Options) -> None:
        run, is_new = request_rebuild(
            options["projection"], requested_by="command line", reason=options["reason"]
        )
        name = f"Rebuild {run.pk} of {run.projection}"
        if not is_new:
            asked = f"{run.requested_by or 'somebody'} at {run.requested_at:%Y-%m-%d %H:%M:%S}"
            command.stdout.write(f"{name} is open already ({run.status}), asked for by {asked}.")
        elif not options["now"]:
            command.stdout.write(f"{name} is requested; a worker does it.")
        if not options["now"]:
            return
        done = rebuild_here(run)
        command.stdout.write(
            command.style.SUCCESS(f"Rebuilt {done.projection} from {done.events} events.")
        )
