"""`pause` and `resume`: subscriptions that stand still."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from whizbang.management.verbs.acting import act_and_say, add_dry_run, add_reason
from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.actions.subscriptions import Pause, Resume


class PauseVerb(Verb):
    name = "pause"
    help = "Let a subscription stand still."

    def add_arguments(self, parser: ArgumentParser) -> None:
        _add_arguments(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        act_and_say(command, options, Pause(subscription=options["subscription"]))


class ResumeVerb(Verb):
    name = "resume"
    help = "Let it go on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        _add_arguments(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        act_and_say(command, options, Resume(subscription=options["subscription"]))


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("subscription")
    add_reason(parser)
    add_dry_run(parser)
