"""Real processes of tests, and waiting for what they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# How long a test waits before it calls something stuck: only a failing test waits that long, so it
# has room for a machine that does much else.
PATIENCE_SECONDS = 240.0


@contextmanager
def running(environment: dict[str, str], *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Python with these arguments in a process of its own; killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        except BaseException:
            process.kill()
            print(f"-- What {' '.join(arguments)} had to say:\n{_rest_of(process)}")
            raise
        finally:
            process.kill()


def _rest_of(process: subprocess.Popen[str]) -> str:
    try:
        return process.communicate(timeout=PATIENCE_SECONDS)[0][-20_000:]
    except ValueError:
        return "(its output was read before)"


def running_worker(
    environment: dict[str, str], *arguments: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    """`manage.py whizbang worker`; see running()."""
    return running(environment, "manage.py", "whizbang", "worker", *arguments)


def stop(process: subprocess.Popen[str]) -> str:
    """Ask a process to stop and give its output. Raises AssertionError when it ends with an error."""
    process.send_signal(signal.SIGTERM)
    return wait_for_end(process)


def wait_for_end(process: subprocess.Popen[str]) -> str:
    """The output of one that ends by itself. Raises AssertionError when it ends with an error."""
    output, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, output
    return output


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=PATIENCE_SECONDS)


def has_ended(process: int) -> bool:
    """Of one that is not our child, by its id; it may wait for somebody to note its end."""
    found = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True
    )
    return found.stdout.strip()[:1] in ("", "Z")


def freeze(process: subprocess.Popen[Any]) -> None:
    """Stop one until thaw(). It does nothing more when this returns: the signal alone is not waited for."""
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


def thaw(process: subprocess.Popen[Any]) -> None:
    process.send_signal(signal.SIGCONT)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition. Raises AssertionError when it does not come true within our patience."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)
