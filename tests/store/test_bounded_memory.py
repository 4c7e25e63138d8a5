"""However many events there are, reading and importing them takes the same memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.marks import soak_on
from tests.processes import ROOT

READS = [
    "read_all",
    "read_stream",
    "read_backwards",
    "read_some_types",
    "aread_all",
    "aread_stream",
]
FEW, MANY = 5_000, 50_000
MILLION = 1_000_000
GROWTH_MB = 15  # of a process; ten times the events would be some hundred
MOST_MB = 200

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc"),
]


def peak_mb(environment: dict[str, str], way: str, count: int) -> int:
    """Peak memory of a process that works on so many events."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.store.reading_process", way, str(count)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@soak_on("postgres", "mariadb")
def test_memory_does_not_grow_with_the_log(child_environment: dict[str, str]) -> None:
    importing = [peak_mb(child_environment, "import_events", FEW)]
    few = {way: peak_mb(child_environment, way, FEW) for way in ("read_all", "aread_all")}
    importing.append(peak_mb(child_environment, "import_events", MANY - FEW))
    many = {way: peak_mb(child_environment, way, MANY) for way in (*few, "hoard")}
    assert importing[1] - importing[0] < GROWTH_MB
    for way, peak in few.items():
        assert many[way] - peak < GROWTH_MB, f"{way} took {peak} MB, and then {many[way]} MB"
    assert many["hoard"] - few["read_all"] > GROWTH_MB, (
        "the test would not see a list of all events"
    )


@pytest.mark.soak
def test_million_events_are_read_in_bounded_memory(child_environment: dict[str, str]) -> None:
    peaks = {way: peak_mb(child_environment, way, MILLION) for way in ("import_events", *READS)}
    print(f"\npeak MB: {peaks}")
    assert max(peaks.values()) < MOST_MB, peaks
