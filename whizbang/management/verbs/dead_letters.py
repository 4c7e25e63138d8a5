"""`deadletters` and `redrive`: messages that were given up."""

from __future__ import annotations

import json
from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.dead_letters import dead_letters, find_dead_letter, retry_dead_letter


class RedriveVerb(Verb):
    name = "redrive"
    help = "Handle a dead letter once more."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("id", help="The number or the message id that `deadletters` shows.")

    def run(self, command: BaseCommand, options: Options) -> None:
        letter = find_dead_letter(options["id"])
        command.stdout.write(f"{retry_dead_letter(letter.pk)}.")


class DeadLettersVerb(Verb):
    name = "deadletters"
    help = "List messages that were given up."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")

    def run(self, command: BaseCommand, options: Options) -> None:
        for letter in dead_letters():
            facts = {
                "id": letter.pk,
                "message_id": str(letter.message_id),
                "type": letter.type,
                "reason": letter.reason,
                "error": letter.error,
                "attempts": letter.attempts,
                "died_at": letter.died_at.isoformat(),
            }
            if options["json"]:
                command.stdout.write(json.dumps(facts))
            else:
                command.stdout.write("{id:6} {message_id} {type} {error}".format(**facts))
