"""`partitions`: the parts of a subscription."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Verb
from whizbang.management.verbs.status import lag_of
from whizbang.operations.partitions import (
    list_partitions,
    merge_partitions,
    set_partition_count,
    split_partition,
)

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

    def run(self, command: BaseCommand, options: Options) -> None:
        try:
            found = _change(options)
        except ValueError as exc:
            raise CommandError(str(exc)) from exc
        if options["json"]:
            command.stdout.write(json.dumps([asdict(partition) for partition in found]))
            return
        for partition in found:
            command.stdout.write(f"{partition!s:10} {lag_of(asdict(partition))}")


def _change(options: Options) -> Any:
    name, timeout = options["subscription"], options["timeout"]
    if options["split"] is not None:
        first = None if options["split"] == _WIDEST else options["split"]
        return split_partition(name, first)
    if options["merge"]:
        return merge_partitions(name, timeout_seconds=timeout)
    if options["count"] is not None:
        return set_partition_count(name, options["count"], timeout_seconds=timeout)
    return list_partitions(name)
