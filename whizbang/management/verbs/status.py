"""`status`: where everything stands."""

from __future__ import annotations

import json
import time
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand

from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.status import first_line, overview, rates_between

Rate = tuple[float, float | None]


class StatusVerb(Verb):
    name = "status"
    help = "Where everything stands."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true")
        add_watch(parser, "Repeat it, every two seconds unless given, with rates.")

    def run(self, command: BaseCommand, options: Options) -> None:
        before: tuple[dict[str, Any], float] | None = None
        while True:
            found, now = overview(), time.monotonic()
            rates = rates_between(before[0], found, now - before[1]) if before else {}
            if options["json"]:
                command.stdout.write(json.dumps(_with_rates(found, rates), default=str))
            else:
                _print_status(command, found, rates)
            if options["watch"] is None:
                return
            before = (found, now)
            time.sleep(options["watch"])


def add_watch(parser: ArgumentParser, help: str) -> None:
    """`--watch [SECONDS]`, for a verb that tells how things stand."""
    parser.add_argument(
        "--watch", type=interval, nargs="?", const=2.0, metavar="SECONDS", help=help
    )


def _print_status(command: BaseCommand, found: dict[str, Any], rates: dict[str, Rate]) -> None:
    command.stdout.write(f"head {found['head']}")
    for holder in found["held_back_by"]:
        command.stdout.write(command.style.WARNING(f"    held back by {holder}"))
    for item in found["subscriptions"]:
        notes = " needs rebuild" if item["needs_rebuild"] else ""
        notes += f" parked {item['parked']}" if item["parked"] else ""
        line = f"  {item['name']:50} {item['status']:8} {lag_of(item)}{notes}"
        command.stdout.write(line + _rate_of(rates.get(item["name"])))
        if len(item["partitions"]) > 1:
            _print_partitions(command, item)
        _print_troubles(command, item)
    command.stdout.write(f"inbox {found['inbox'] or 'empty'}")
    command.stdout.write(f"outbox {found['outbox']['unsent']} unsent")
    command.stdout.write(f"dead letters {found['dead_letters']}")
    command.stdout.write(f"rebuilds {found['rebuilds'] or 'none'}")
    if found["unknown_types"]:
        names = ", ".join(found["unknown_types"])
        text = f"types in the log that no app defines: {names}"
        command.stdout.write(command.style.WARNING(text))


def _print_partitions(command: BaseCommand, item: dict[str, Any]) -> None:
    for part in item["partitions"]:
        slices = f"{part['first_slice']}-{part['end_slice']}"
        command.stdout.write(f"    {item['partition_by']} {slices:10} {lag_of(part)}")


def _print_troubles(command: BaseCommand, item: dict[str, Any]) -> None:
    if item["error"]:
        text = f"    stopped: {first_line(item['error'])}"
        command.stdout.write(command.style.WARNING(text))
    run = item["rebuild"]
    if run and run["status"] == "failed":
        text = f"    rebuild {run['id']} failed: {run['error']}"
        command.stdout.write(command.style.WARNING(text))
    elif run and run["progress"]:
        command.stdout.write(f"    rebuild {run['id']} {run['status']}: {run['progress']}")


def interval(text: str) -> float:
    """Seconds between two looks. Raises ArgumentTypeError."""
    seconds = float(text)
    if not 0.1 <= seconds <= 86_400:
        raise ArgumentTypeError("give 0.1 to 86400 seconds")
    return seconds


def lag_of(item: dict[str, Any]) -> str:
    """Of a subscription or a partition, in words."""
    if item.get("kind") == "inline":
        return "inline"
    if item["lag_events"] is None:
        return "no row yet"
    late = f" ({item['lag_seconds']:.1f} s)" if item["lag_seconds"] else ""
    owner = f" by {item['owner']}" if item["owner"] else " by nobody"
    return f"lag {item['lag_events']}{late}{owner}"


def _rate_of(rate: Rate | None) -> str:
    if rate is None:
        return ""
    per_second, left = rate
    rest = (
        "" if left == 0 else ", not catching up" if left is None else f", caught up in {left:.0f} s"
    )
    return f" at {per_second:.0f}/s{rest}"


def _with_rates(found: dict[str, Any], rates: dict[str, Rate]) -> dict[str, Any]:
    """Rates only where they are known."""
    for item in found["subscriptions"]:
        if item["name"] in rates:
            item["events_per_second"], item["seconds_to_catch_up"] = rates[item["name"]]
    return found
