"""Scenario 2: positions that rollbacks burned hold readers up no longer than the transactions that burned them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.sessions import make_tail, positions, write
from whizbang.drivers.stores.postgres_tail import Horizon, PostgresTail, read_holders

pytestmark = [pytest.mark.requires_postgres, pytest.mark.django_db(transaction=True)]


def test_gap_is_passed_as_soon_as_its_transaction_has_ended(writers: Any) -> None:
    burner, winner = writers(), writers()
    first = [write(burner, f"burnt-{n}") for n in range(50)][0]
    kept = write(winner, "kept")
    winner.commit()
    tail = make_tail(first - 1)
    assert tail.read(limit=10) == []
    assert tail.explain() != []
    burner.rollback()
    assert positions(tail.read(limit=10)) == [kept]


def test_session_that_dies_leaves_its_gap_to_be_passed(writers: Any) -> None:
    burner, winner = writers(), writers()
    first = write(burner, "burnt")
    kept = write(winner, "kept")
    winner.execute("SELECT pg_terminate_backend(%s)", [burner.info.backend_pid])
    winner.commit()
    tail = make_tail(first - 1)
    while not (rows := tail.read(limit=10)):
        assert tail.explain() != [], "nobody holds the log, and still it stands"
    assert positions(rows) == [kept]


@pytest.mark.parametrize("sees_only_its_page", [False, True])
def test_reader_that_is_behind_passes_all_gaps_after_one_wait(
    writers: Any, monkeypatch: pytest.MonkeyPatch, sees_only_its_page: bool
) -> None:
    """Who settles a page at a time, the mutant, waits at each for those who are writing by then."""
    if sees_only_its_page:
        monkeypatch.setattr(PostgresTail, "_last_seen", lambda self, rows, limit: rows[-1].position)
    burner, winner, first_open, second_open = (writers() for _ in range(4))
    kept = []
    for number in range(12):
        burnt = write(burner, f"burnt-{number}")
        burner.rollback()
        kept.append(write(winner, f"kept-{number}"))
        winner.commit()
    tail = make_tail(kept[0] - 1)
    write(first_open, "first")
    assert positions(tail.read(limit=4)) == kept[:1]
    assert burnt < kept[-1] and tail.read(limit=4) == []
    write(second_open, "second")
    first_open.rollback()
    handed: list[int] = kept[:1]
    while rows := tail.read(limit=4):
        handed.extend(positions(rows))
    assert handed == (kept[:5] if sees_only_its_page else kept)


@pytest.mark.parametrize("waits_for_everybody", [False, True])
def test_gap_does_not_wait_for_those_who_came_later(
    writers: Any, monkeypatch: pytest.MonkeyPatch, waits_for_everybody: bool
) -> None:
    """A reader that waits until nobody is writing, the mutant, would stand still under load."""
    if waits_for_everybody:
        monkeypatch.setattr(Horizon, "look", look_for_a_quiet_moment)
    burner, winner, later = writers(), writers(), writers()
    first = write(burner, "burnt")
    kept = write(winner, "kept")
    winner.commit()
    tail = make_tail(first - 1)
    assert tail.read(limit=10) == []
    write(later, "later")
    burner.rollback()
    assert positions(tail.read(limit=10)) == ([] if waits_for_everybody else [kept])


def look_for_a_quiet_moment(self: Horizon, connection: Any, *, seen: int) -> bool:
    if read_holders(connection):
        return False
    self.position = seen
    return True
