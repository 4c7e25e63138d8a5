"""`worker`: handle commands and feed subscriptions."""

from __future__ import annotations

import signal
import sys
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from django.core.management.base import BaseCommand

from whizbang.exceptions import WhizbangError
from whizbang.management.verbs.base import Options, Verb
from whizbang.operations.liveness.health_file import HealthFile
from whizbang.operations.liveness.health_server import HealthServer
from whizbang.operations.liveness.report import Report
from whizbang.operations.liveness.systemd import systemd_outlets
from whizbang.operations.liveness.watch import Outlet, Watch
from whizbang.operations.worker import Worker
from whizbang.operations.worker_group.group import WorkerGroup
from whizbang.operations.worker_group.parent import Parent
from whizbang.operations.worker_parts import PARTS


class WorkerVerb(Verb):
    name = "worker"
    help = "Handle commands and feed subscriptions."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--until-idle", action="store_true", help="Stop when nothing is left.")
        parser.add_argument("--max-seconds", type=float, help="Stop after this time.")
        parser.add_argument(
            "--only",
            nargs="+",
            choices=list(PARTS),
            default=list(PARTS),
            metavar="PART",
            help=f"Do these parts and leave the others to other workers: {', '.join(PARTS)}.",
        )
        parser.add_argument("--store", default="default", help="Alias in WHIZBANG['STORES'].")
        parser.add_argument(
            "--processes", type=int, metavar="N", help="Start N workers, and again those that die."
        )
        parser.add_argument("--child", type=int, help=SUPPRESS)  # the socket to who started it
        _add_health(parser)

    def run(self, command: BaseCommand, options: Options) -> None:
        if options["stuck_seconds"] <= 0:
            raise WhizbangError("--stuck-seconds must be more than 0.")
        if options["processes"] is not None and options["child"] is None:
            _run_group(command, options)
        else:
            _run_worker(command, options)


def _add_health(parser: ArgumentParser) -> None:
    parser.add_argument("--health-file", metavar="PATH", help="Write it while the worker lives.")
    parser.add_argument(
        "--health-port", type=int, metavar="PORT", help="Answer /live and /ready there; 0: any."
    )
    parser.add_argument("--health-host", default="127.0.0.1", help="Listen there for it.")
    parser.add_argument(
        "--stuck-seconds",
        type=float,
        default=300.0,
        help="A worker whose batch takes longer is not live any more (default 300).",
    )


def _run_worker(command: BaseCommand, options: Options) -> None:
    worker = Worker(store=options["store"], only=options["only"])
    stuck_seconds = options["stuck_seconds"]

    def look() -> Report:
        return worker.report(stuck_seconds=stuck_seconds)

    with _stopped_by_signals(worker.stop), _told(command, options, look, worker.stop):
        command.stdout.write(f"Worker {worker.name} started.")
        counts = worker.run(until_idle=options["until_idle"], max_seconds=options["max_seconds"])
    command.stdout.write(
        command.style.SUCCESS("Worker stopped: " + ", ".join(f"{n} {k}" for k, n in counts.items()))
    )


def _run_group(command: BaseCommand, options: Options) -> None:
    count = options["processes"]
    if count < 1:
        raise WhizbangError("--processes needs at least one.")
    is_lasting = not options["until_idle"] and options["max_seconds"] is None
    group = WorkerGroup(_command_line(), count=count, is_lasting=is_lasting)
    stuck_seconds = options["stuck_seconds"]

    def look() -> Report:
        return group.report(stuck_seconds=stuck_seconds)

    with _stopped_by_signals(group.stop), _told(command, options, look, group.stop):
        command.stdout.write(f"Starting {count} workers.")
        group.run()
    command.stdout.write(command.style.SUCCESS(f"All {count} workers stopped."))


def _command_line() -> list[str]:
    """The one that runs now, with the interpreter and its options. Raises WhizbangError where another program runs."""
    if sys.argv[1:2] != ["whizbang"] or sys.orig_argv[-len(sys.argv) + 1 :] != sys.argv[1:]:
        raise WhizbangError(
            "--processes starts its own command line again, so it works from the command line alone."
        )
    return [sys.executable, *sys.orig_argv[1:]]


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: stop()) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _told(
    command: BaseCommand, options: Options, look: Callable[[], Report], stop: Callable[[], None]
) -> Iterator[None]:
    """While the block lasts, who asked for it is told where the worker, or the group, stands."""
    if options["child"] is not None:  # whoever started it tells the others
        parent = Parent(options["child"], stop=stop, grace_seconds=options["stuck_seconds"])
        with Watch(look, [parent]):
            yield
        return
    outlets: list[Outlet] = [*systemd_outlets()]
    if options["health_file"]:
        outlets.append(HealthFile(options["health_file"]))
    with ExitStack() as stack:
        if options["health_port"] is not None:
            server = HealthServer(look, host=options["health_host"], port=options["health_port"])
            server.start()
            stack.callback(server.stop)
            command.stdout.write(f"Health at {server.address}/live and /ready.")
            command.stdout.flush()
        stack.enter_context(Watch(look, outlets))
        yield
