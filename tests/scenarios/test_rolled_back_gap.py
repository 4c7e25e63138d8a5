"""Scenario 2: positions that rollbacks burned hold readers up no longer than the transactions that burned them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.sessions import make_tail, positions, write
from whizbang.drivers.stores.postgres_tail import Horizon, read_holders

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
