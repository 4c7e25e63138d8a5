"""The command line: picks a benchmark by name, runs it and prints its report."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType

from benchmarks.options import Options

NAMES = (
    "dispatch",
    "command",
    "append",
    "read",
    "project",
    "modes",
    "relay",
    "saga",
    "cdnow",
    "console",
)
GROWING = ("project", "modes", "console")  # those that can be told how much there is to do


def load(name: str) -> ModuleType:
    return importlib.import_module(f"benchmarks.{name}")


def describe_all() -> str:
    lines = [f"  {name:<10} {(load(name).__doc__ or '').splitlines()[0]}" for name in NAMES]
    return "\n".join(["Benchmarks (python -m benchmarks NAME [--json] [--full]):", *lines])


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", nargs="?", help="the benchmark to run; without it, all are listed")
    parser.add_argument("--json", action="store_true", help="print one JSON object, with goals")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="all the data, however long it takes")
    size.add_argument("--smoke", action="store_true", help="seconds only; the figures mean nothing")
    parser.add_argument(
        "--events",
        type=_count,
        nargs="+",
        default=(),
        metavar="COUNT",
        help=f"of {', '.join(GROWING)}: how many events to rebuild or to load, or old rows to clean up",
    )
    chosen = parser.parse_args(arguments)
    if chosen.name is not None and chosen.name not in NAMES:
        parser.error(f"there is no benchmark {chosen.name!r}; choose one of: {', '.join(NAMES)}")
    if chosen.events and chosen.name not in GROWING:
        parser.error(f"--events is for {', '.join(GROWING)}")
    return chosen


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least one event")
    return count


def main(arguments: Sequence[str]) -> None:
    chosen = parse(arguments)
    if chosen.name is None:
        print(describe_all())
        return
    options = Options(full=chosen.full, smoke=chosen.smoke, events=tuple(chosen.events))
    report = load(chosen.name).run(options)
    print(report.as_json() if chosen.json else report.as_text())


if __name__ == "__main__":
    main(sys.argv[1:])
