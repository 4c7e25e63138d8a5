"""`pause` and `resume`: subscriptions that stand still."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.subscriptions import pause, resume


class PauseVerb(Verb):
    name = "pause"
    help = "Let a subscription stand still."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")

    def run(self, command: BaseCommand, options: Options) -> None:
        pause(options["subscription"])
        command.stdout.write(f"{options['subscription']} stands still until it is resumed.")


class ResumeVerb(Verb):
    name = "resume"
    help = "Let it go on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")

    def run(self, command: BaseCommand, options: Options) -> None:
        resume(options["subscription"])
        command.stdout.write(f"{options['subscription']} goes on.")
