"""A group of small programs: who dies is replaced, who cannot start ends it all, and orphans do not stay."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.processes import PATIENCE_SECONDS, has_ended, running, wait_until
from whizbang.operations.liveness.pulse import State
from whizbang.operations.liveness.report import Report
from whizbang.operations.worker_group.group import WorkerGroup, WorkersFailed

STUCK_SECONDS = 1000.0

# Tells its id by a file, and where it stands by the socket, until it is told to stop.
WORKS = """
import json, os, pathlib, signal, socket, sys, threading
is_over = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: is_over.set())
parent = socket.socket(fileno=int(sys.argv[-1]))
pathlib.Path(sys.argv[1], str(os.getpid())).touch()
while not is_over.wait(0.05):
    parent.send(json.dumps({"state": "ok", "parts": {"loop": "ok"}}).encode())
"""


@contextmanager
def run(group: WorkerGroup) -> Iterator[list[Exception]]:
    """In a thread; gives what it raises, and ends it."""
    errors: list[Exception] = []

    def target() -> None:
        try:
            group.run()
        except WorkersFailed as exc:
            errors.append(exc)

    thread = threading.Thread(target=target)
    thread.start()
    try:
        yield errors
    finally:
        group.stop()
        thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


def command(program: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", program, *map(str, arguments)]


def started(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir()}


def look(group: WorkerGroup) -> Report:
    return group.report(stuck_seconds=STUCK_SECONDS)


def test_one_that_dies_is_replaced_and_all_stop_together(tmp_path: Path) -> None:
    group = WorkerGroup(command(WORKS, tmp_path), count=2)
    with run(group) as errors:
        wait_until(lambda: look(group).is_ready)
        first = started(tmp_path)
        os.kill(min(first), signal.SIGKILL)
        wait_until(lambda: len(started(tmp_path)) == 3)
        wait_until(lambda: look(group).is_ready)
    assert errors == []
    assert look(group).state == State.STOPPING
    assert all(map(has_ended, started(tmp_path)))


def test_one_that_stops_by_itself_is_replaced_too(tmp_path: Path) -> None:
    """An operator may send SIGTERM to one after the other."""
    group = WorkerGroup(command(WORKS, tmp_path), count=1)
    with run(group) as errors:
        wait_until(lambda: look(group).is_ready)
        os.kill(*started(tmp_path), signal.SIGTERM)
        wait_until(lambda: len(started(tmp_path)) == 2)
        wait_until(lambda: look(group).is_ready)
    assert errors == []


def test_workers_that_cannot_start_end_the_group(tmp_path: Path) -> None:
    group = WorkerGroup(command("raise SystemExit(3)"), count=1)
    with pytest.raises(WorkersFailed, match=r"cannot start: process \d+ ended with 3"):
        group.run()


def test_one_that_cannot_start_takes_those_along_that_can(tmp_path: Path) -> None:
    (tmp_path / "first").mkdir()
    program = f"""
import os, sys
try:
    os.rmdir(os.path.join(sys.argv[1], "first"))
except FileNotFoundError:
    raise SystemExit(4)
{WORKS}"""
    with pytest.raises(WorkersFailed, match="ended with 4"):
        WorkerGroup(command(program, tmp_path), count=2).run()
    (works,) = started(tmp_path)
    assert has_ended(works)


def test_group_that_is_not_lasting_ends_with_its_workers() -> None:
    WorkerGroup(command("pass"), count=2, is_lasting=False).run()
    with pytest.raises(WorkersFailed, match="2 of 2 workers: process"):
        WorkerGroup(command("raise SystemExit(1)"), count=2, is_lasting=False).run()


def test_frozen_worker_is_stuck(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whizbang.operations.worker_group.child._SILENT_SECONDS", 0.5)
    group = WorkerGroup(command(WORKS, tmp_path), count=1)
    with run(group):
        wait_until(lambda: look(group).is_ready)
        (process,) = started(tmp_path)
        os.kill(process, signal.SIGSTOP)
        wait_until(lambda: look(group).state == State.STUCK)
        os.kill(process, signal.SIGCONT)
        wait_until(lambda: look(group).is_ready)


# Has started another one, tells its id, and hangs: by its watch alone it sees that it is an orphan.
GROUP = """
import sys
from whizbang.operations.worker_group.group import WorkerGroup
WorkerGroup([sys.executable, "-c", sys.argv[1], *sys.argv[2:]], count=1).run()
"""
HANGS = """
import os, pathlib, sys, threading
from whizbang.operations.liveness import watch
from whizbang.operations.liveness.report import Report
from whizbang.operations.worker_group.parent import Parent
folder = pathlib.Path(sys.argv[1])
watch.TELL_SECONDS = 0.05
parent = Parent(int(sys.argv[-1]), stop=(folder / "asked").touch, grace_seconds=0.1)
with watch.Watch(lambda: Report(parts={}), [parent]):
    (folder / str(os.getpid())).touch()
    threading.Event().wait()
"""


def test_orphan_is_asked_to_stop_and_ends_by_force_where_it_hangs(tmp_path: Path) -> None:
    with running(dict(os.environ), "-c", GROUP, HANGS, str(tmp_path)) as parent:
        wait_until(lambda: bool(started(tmp_path)))
        (child,) = started(tmp_path)
        assert not has_ended(child)
        parent.kill()
        wait_until(lambda: has_ended(child))
    assert (tmp_path / "asked").exists()


def test_report_of_a_group_names_each_process() -> None:
    group = WorkerGroup(command("pass"), count=2)
    found = json.loads(json.dumps(look(group).as_json()))
    assert found["state"] == "failing"  # none is there yet
    assert len(found["processes"]) == 2
