"""`partitions`: the parts of a subscription."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict

from django.core.management.base import BaseCommand

from whizbang.management.verbs.acting import act, add_dry_run, add_reason
from whizbang.management.verbs.base import Options, Verb
from whizbang.management.verbs.status import lag_of
from whizbang.operations.actions import Action
from whizbang.operations.actions.partitions import SetPartitions, SplitPartition
from whizbang.operations.partitions import list_partitions

_WIDEST = -1


class PartitionsVerb(Verb):
    name = "partitions"
    help = "Show, split and merge the parts of a subscription."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subscription")
        change = parser.add_mutually_exclusive_group()
        change.add_argument(
            "--split",
            type=int,
            nargs="?",
            const=_WIDEST,
            metavar="FIRST_SLICE",
            help="In the middle: the partition that begins there, the widest unless given.",
        )
        change.add_argument("--count", type=int, metavar="N", help="Have so many, alike in size.")
        change.add_argument("--merge", action="store_true", help="Have one.")
        parser.add_argument(
            "--timeout",
            type=float,
            default=60.0,
            metavar="SECONDS",
            help="How long a merge may wait.",
        )
        parser.add_argument("--json", action="store_true")
        add_reason(parser)
        add_dry_run(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        action = _action(options)
        if action is not None:
            performed = act(command, options, action)
            if performed is None or not performed.is_done:
                return
        found = list_partitions(options["subscription"])
        if options["json"]:
            command.stdout.write(json.dumps([asdict(partition) for partition in found]))
            return
        for partition in found:
            command.stdout.write(f"{partition!s:10} {lag_of(asdict(partition))}")


def _action(options: Options) -> Action | None:
    """None where nothing is to be changed."""
    name, timeout = options["subscription"], options["timeout"]
    if options["split"] is not None:
        first = None if options["split"] == _WIDEST else options["split"]
        return SplitPartition(subscription=name, first_slice=first)
    count = 1 if options["merge"] else options["count"]
    if count is None:
        return None
    return SetPartitions(subscription=name, count=count, timeout_seconds=timeout)
