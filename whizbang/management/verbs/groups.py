"""`groups`: ready-made groups for viewers, operators and admins."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict

from django.core.management.base import BaseCommand

from whizbang.management.verbs.acting import add_dry_run
from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.groups import GroupChange, make_groups


class GroupsVerb(Verb):
    name = "groups"
    help = "Make Django groups of viewers, operators and admins, or bring them up to date."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")
        add_dry_run(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        for change in make_groups(is_dry_run=options["dry_run"]):
            text = json.dumps(asdict(change)) if options["json"] else _say(change)
            command.stdout.write(text)


def _say(change: GroupChange) -> str:
    what = "new" if change.is_new else "changed" if change.added else "as it was"
    text = f"{change.name}: {what}, {change.permissions} permissions"
    return text + "".join(f"\n    + {permission}" for permission in change.added)
