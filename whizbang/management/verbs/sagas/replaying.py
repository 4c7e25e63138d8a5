"""`saga replay`."""

from __future__ import annotations

from collections.abc import Iterator

from django.core.management.base import BaseCommand, CommandError

from whizbang.management.verbs.base import Options, Parsers
from whizbang.management.verbs.sagas import texts
from whizbang.management.verbs.sagas.looking import add_instance
from whizbang.operations.sagas.replay import DifferingStep, Replayed, replay


def add_replay(whats: Parsers) -> None:
    parser = whats.add_parser(
        "replay",
        help="Run today's code over what an instance has heard, sending nothing; exit code 1 if it differs, "
        "with -v2 tracebacks too.",
    )
    add_instance(parser)
    parser.add_argument(
        "--keep-going", action="store_true", help="Past a step that differs, from what is recorded."
    )
    parser.add_argument("--json", action="store_true")


def run_replay(command: BaseCommand, options: Options) -> None:
    result = replay(options["type"], options["key"], is_keeping_going=options["keep_going"])
    if options["json"]:
        command.stdout.write(texts.as_json(result))
    else:
        for line in _lines_of(result, with_tracebacks=options["verbosity"] > 1):
            command.stdout.write(line)
    if not result.is_same:
        raise CommandError(
            f"{result.differing} of {result.steps} steps differ, the first at version "
            f"{result.found[0].version}."
        )


def _lines_of(result: Replayed, *, with_tracebacks: bool) -> Iterator[str]:
    for step in result.found:
        yield from _step_lines(step)
        if with_tracebacks:
            yield from (found.traceback for found in step.differences if found.traceback)
    if result.is_same:
        yield f"{result.steps} steps come out as they did."


def _step_lines(step: DifferingStep) -> Iterator[str]:
    where = f"position {step.position}" if step.position is not None else "a timeout"
    yield f"Version {step.version}, {step.message} ({where}):"
    for found in step.differences:
        if found.recorded is None:
            yield f"  {found.what}: {found.today}"
            continue
        yield f"  {found.what} then:  {texts.data_text(found.recorded)}"
        yield f"  {found.what} today: {texts.data_text(found.today)}"
