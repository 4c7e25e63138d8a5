"""Processes of a soak: started on the test's database, and stopped by the end of their input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from tests.processes import ROOT

SECONDS = float(os.environ.get("WHIZBANG_SOAK_SECONDS", "600"))


class Processes:
    """A group of like processes; leaving the block ends those that still run."""

    def __init__(self, environment: Mapping[str, str], application: str) -> None:
        self._environment = {**environment, "PGAPPNAME": application}
        self._running: list[subprocess.Popen[str]] = []

    def start(self, module: str, *arguments: object) -> None:
        self._running.append(
            subprocess.Popen(
                [sys.executable, "-m", f"tests.scenarios.soak.{module}", *map(str, arguments)],
                cwd=ROOT,
                env=self._environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )

    def stop(self) -> Counter[str]:
        """Let all finish what they are at; gives the sum of the counts that they print."""
        for process in self._running:
            assert process.stdin is not None
            process.stdin.close()
            process.stdin = None
        outputs = [process.communicate(timeout=120)[0] for process in self._running]
        codes = [process.returncode for process in self._running]
        self._running.clear()
        assert not any(codes), f"a process ended with {codes}"
        return sum((Counter(json.loads(text)) for text in outputs if text), Counter())

    def check(self) -> None:
        """Nobody may have ended on its own."""
        codes = [process.poll() for process in self._running]
        assert codes.count(None) == len(codes), f"a process ended with {codes}"

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.communicate()


def watch(
    groups: Sequence[Processes], *, seconds: float, until: Callable[[], bool] = lambda: False
) -> float:
    """Let processes work for so long, or until something is seen; gives the time that it took."""
    began = time.monotonic()
    while time.monotonic() - began < seconds and not until():
        for group in groups:
            group.check()
        time.sleep(0.5)
    return time.monotonic() - began
