"""Scenario 1 for as long as WHIZBANG_SOAK_SECONDS says, on SQLite: several processes write and read.

There is one writer at a time, so commit order is position order and a plain reader is exact; with positions
that are drawn elsewhere it is not, and must be seen losing some.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from tests.scenarios.soak.comparison import Comparison, positions_in_file, stored_positions
from tests.scenarios.soak.processes import SECONDS, Processes, watch
from whizbang.models import StoredEvent

pytestmark = [
    pytest.mark.soak,
    pytest.mark.requires_sqlite,
    pytest.mark.django_db(transaction=True),
]

WRITERS, READERS = 6, 3


@pytest.fixture
def counter(transactional_db: None) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE soak_counter (value integer)")
        cursor.execute("INSERT INTO soak_counter VALUES (0)")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE soak_counter")


def run(
    kind: str, environment: dict[str, str], files: list[Path], *, seconds: float
) -> Counter[str]:
    """Writers of one kind and readers beside them; gives what was written once all have ended."""
    with Processes(environment, "writer") as writers, Processes(environment, "reader") as readers:
        for file in files:
            file.touch()
            readers.start("restarting_reader", "exact", file, 0)
        for number in range(WRITERS):
            writers.start("sqlite_writer", number, kind)
        watch([], seconds=60, until=StoredEvent.objects.exists)
        watch([writers, readers], seconds=seconds)
        written = writers.stop()
        readers.stop()
    print(f"\n{kind}: {StoredEvent.objects.count()} events in {seconds:.0f} s: {dict(written)}")
    return written


def test_readers_see_every_event_once_and_in_order(
    child_environment: dict[str, str], tmp_path: Path
) -> None:
    files = [tmp_path / str(number) for number in range(READERS)]
    written = run("driver", child_environment, files, seconds=SECONDS)
    assert StoredEvent.objects.count() == written["stored"]
    for file in files:
        comparison = Comparison(stored_positions(), positions_in_file(file))
        comparison.finish()
        assert comparison.is_clean and comparison.matched == written["stored"], comparison


def test_positions_drawn_before_the_transaction_lose_events(
    child_environment: dict[str, str], counter: None, tmp_path: Path
) -> None:
    run("allocator", child_environment, [tmp_path / "0"], seconds=min(SECONDS, 20))
    comparison = Comparison(stored_positions(), positions_in_file(tmp_path / "0"))
    comparison.finish()
    print(comparison)
    assert comparison.missed, "the reader should have lost something"
