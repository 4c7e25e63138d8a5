"""`saga list` and `saga show`."""

from __future__ import annotations

from argparse import ArgumentParser
from itertools import islice

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Parsers
from whizbang.management.verbs.sagas import texts
from whizbang.models import SagaInstance
from whizbang.operations.sagas.instance import look_at
from whizbang.operations.sagas.listing import list_instances, list_unstarted
from whizbang.operations.sagas.story import LOOK_AHEAD_EVENTS, steps_of


def add_instance(parser: ArgumentParser) -> None:
    parser.add_argument("type", help="The saga's name, such as orders.OrderFulfillment.")
    parser.add_argument("key", help="Of the instance.")


def add_list(whats: Parsers) -> None:
    parser = whats.add_parser("list", help="Instances, the newest first.")
    parser.add_argument("type", nargs="?", help="Of this saga only.")
    parser.add_argument("--status", choices=SagaInstance.Status.values)
    parser.add_argument("--failing", action="store_true", help="With a step that failed.")
    parser.add_argument("--overdue", action="store_true", help="With a timeout that was due.")
    parser.add_argument(
        "--unstarted", action="store_true", help="Keys whose first event failed, instead."
    )
    parser.add_argument("--limit", type=int, default=50, metavar="N")
    parser.add_argument("--after", metavar="STREAM", help="Go on behind this one; see its end.")
    parser.add_argument("--json", action="store_true")


def run_list(command: BaseCommand, options: Options) -> None:
    if options["unstarted"]:
        _list_unstarted(command, options)
        return
    found = list_instances(
        saga=options["type"],
        status=options["status"],
        is_failing=options["failing"],
        is_overdue=options["overdue"],
        after=options["after"],
        limit=options["limit"],
    )
    for row in found:
        command.stdout.write(texts.as_json(row) if options["json"] else texts.listed_line(row))
    if options["json"]:
        return
    if len(found) == options["limit"]:
        command.stdout.write(f"Perhaps more: --after {found[-1].stream}")
    if list_unstarted(saga=options["type"], limit=1):
        command.stdout.write(
            command.style.WARNING("Some could not even start: saga list --unstarted")
        )


def _list_unstarted(command: BaseCommand, options: Options) -> None:
    after = options["after"] or "0"
    if not after.isdecimal():
        raise CommandError(f"--after {after} is no number: it stands before each of --unstarted.")
    found = list_unstarted(saga=options["type"], after=int(after), limit=options["limit"])
    for row in found:
        command.stdout.write(texts.as_json(row) if options["json"] else texts.unstarted_line(row))
    if len(found) == options["limit"] and not options["json"]:
        command.stdout.write(f"Perhaps more: --after {found[-1].id}")


def add_show(whats: Parsers) -> None:
    parser = whats.add_parser("show", help="The story of one instance, step by step.")
    add_instance(parser)
    parser.add_argument("--version", type=int, metavar="N", help="As it stood after this step.")
    parser.add_argument("--states", action="store_true", help="All of the state after each step.")
    parser.add_argument("--after", type=int, default=0, metavar="N", help="Steps behind this one.")
    parser.add_argument("--limit", type=int, metavar="N", help="So many steps; all without it.")
    parser.add_argument(
        "--look-ahead",
        type=int,
        default=LOOK_AHEAD_EVENTS,
        metavar="N",
        help="In how many events behind each step to look for what its commands have caused.",
    )
    parser.add_argument("--json", action="store_true", help="A line for it, and one for each step.")


def run_show(command: BaseCommand, options: Options) -> None:
    version = options["version"]
    facts = look_at(options["type"], options["key"], version=version)
    if options["json"]:
        command.stdout.write(texts.as_json(facts))
    else:
        for line in texts.instance_lines(facts):
            command.stdout.write(line)
    steps = steps_of(
        options["type"],
        options["key"],
        after=options["after"] if version is None else version - 1,
        until=version,
        look_ahead=options["look_ahead"],
        with_states=options["states"],
    )
    for step in islice(steps, options["limit"]):
        lines = [texts.as_json(step)] if options["json"] else texts.step_lines(step)
        for line in lines:
            command.stdout.write(line)
