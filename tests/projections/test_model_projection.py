"""What a ModelProjection makes of batches of events."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from tests.projections.models import Account, Visit
from whizbang.exceptions import WhizbangError
from whizbang.messages.base import Event
from whizbang.messages.metadata import Metadata
from whizbang.projections.declaration import (
    BEGINNING,
    DELETE,
    LIVE,
    declared,
    instances,
    on,
    problems,
)
from whizbang.projections.free import Projection
from whizbang.projections.model import ModelProjection
from whizbang.testing.isolation import isolated

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("tables")]
META = Metadata(
    message_id=uuid.UUID(int=1),
    correlation_id=uuid.UUID(int=1),
    occurred_at=datetime(2024, 1, 1, tzinfo=UTC),
)

with isolated():

    class Deposited(Event):
        account_id: Any
        amount: Decimal

    class Transferred(Event):
        source: str
        target: str
        amount: Decimal

    class Closed(Event):
        account_id: str

    class Visited(Event):
        visitor: Any
        page: str

    class Accounts(ModelProjection):
        model = Account

        @on(Deposited, by="account_id")
        def deposited(self, row: Account, event: Deposited, meta: Metadata) -> None:
            row.balance += event.amount
            row.entries += 1

        @on(Transferred, by=lambda event, meta: [event.source, event.target])
        def transferred(self, row: Account, event: Transferred, meta: Metadata) -> None:
            row.balance += event.amount if row.account_id == event.target else -event.amount

        @on(Closed, by="account_id")
        def closed(self, row: Account, event: Closed, meta: Metadata) -> object:
            return DELETE

    class InlineAccounts(Accounts):
        delivery = "inline"

    class Visits(ModelProjection):
        model = Visit
        key_field = "visitor"

        @on(Visited, by="visitor")
        def visited(self, row: Visit, event: Visited, meta: Metadata) -> None:
            row.count += 1
            row.pages.append(event.page)


@pytest.fixture(autouse=True)
def no_trace() -> Iterator[None]:
    with isolated():
        yield


def apply(projection: Projection, *events: Event) -> None:
    projection.apply_batch([(event, META) for event in events], using="default")


def deposit(key: Any = "a", amount: int = 1) -> Deposited:
    return Deposited(account_id=key, amount=Decimal(amount))


def balances() -> dict[str, Decimal]:
    return dict(Account.objects.values_list("account_id", "balance"))


def test_events_of_a_batch_build_on_each_other_and_on_the_stored_row() -> None:
    projection = Accounts()
    apply(projection, deposit("a", 1), deposit("a", 2), deposit("b", 5))
    apply(projection, deposit("b", 1), deposit("a", 4), deposit("c", 9))

    assert balances() == {"a": 7, "b": 6, "c": 9}
    assert Account.objects.get(pk="a").entries == 3


def test_one_event_can_change_several_rows() -> None:
    apply(Accounts(), Transferred(source="a", target="b", amount=Decimal(3)))
    assert balances() == {"a": -3, "b": 3}


def test_delete_removes_the_row_and_a_later_event_makes_a_new_one() -> None:
    projection = Accounts()
    apply(projection, deposit("a", 50), deposit("b", 50))

    apply(projection, Closed(account_id="a"), Closed(account_id="b"), deposit("b", 1))
    apply(projection, Closed(account_id="never seen"))

    assert balances() == {"b": 1}


def test_events_of_other_types_touch_nothing() -> None:
    with CaptureQueriesContext(connection) as queries:
        apply(Accounts(), Visited(visitor=uuid.uuid4(), page="/"))
    assert len(queries) == 0


def test_one_row_inline_is_one_select_and_one_update() -> None:
    projection = InlineAccounts()
    apply(projection, deposit())

    with CaptureQueriesContext(connection) as queries:
        apply(projection, deposit())

    assert [q["sql"].split()[0] for q in queries] == ["SELECT", "UPDATE"]
    assert ("FOR UPDATE" in queries[0]["sql"]) == (connection.vendor != "sqlite")


def test_a_batch_is_one_select_and_at_most_two_writes() -> None:
    projection = Accounts()
    apply(projection, *(deposit(f"old{i}") for i in range(100)))

    with CaptureQueriesContext(connection) as queries:
        apply(projection, *(deposit(f"{kind}{i}") for i in range(100) for kind in ("old", "new")))

    assert len(queries) <= 3
    assert set(balances().values()) == {1, 2}


def test_keys_are_read_as_the_models_field_reads_them() -> None:
    visitor = uuid.uuid4()
    projection = Visits()
    apply(projection, Visited(visitor=visitor, page="/a"), Visited(visitor=str(visitor), page="/b"))
    apply(projection, Visited(visitor=str(visitor), page="/c"))
    apply(Accounts(), deposit(7), deposit("7"))

    row = Visit.objects.get()
    assert (row.count, row.pages) == (3, ["/a", "/b", "/c"])
    assert balances() == {"7": 2}


@pytest.mark.parametrize("key", [None, "no uuid"])
def test_an_impossible_key_is_refused_in_words(key: Any) -> None:
    with pytest.raises(WhizbangError, match=r"Visits .*key"):
        apply(Visits(), Visited(visitor=key, page="/"))


def test_a_method_that_changes_the_key_is_refused() -> None:
    class Renaming(ModelProjection):
        model = Account

        @on(Closed, by="account_id")
        def closed(self, row: Account, event: Closed, meta: Metadata) -> None:
            row.account_id = "other"

    with pytest.raises(WhizbangError, match="changed the key of row 'a' to 'other'"):
        apply(Renaming(), Closed(account_id="a"))


def test_prefetch_sees_the_batch_before_its_methods_run() -> None:
    class Looking(ModelProjection):
        model = Account
        known: dict[str, int]

        def prefetch(self, events: Any) -> None:
            self.known = {event.account_id: 11 for event, _ in events}

        @on(Closed, by="account_id")
        def closed(self, row: Account, event: Closed, meta: Metadata) -> None:
            row.entries = self.known[event.account_id]

    apply(Looking(), Closed(account_id="a"), Closed(account_id="b"))
    assert set(Account.objects.values_list("entries", flat=True)) == {11}


def test_a_replayed_history_replaces_all_rows() -> None:
    projection = Accounts()
    apply(projection, deposit("wrong", 99), deposit("a", 99))
    history = [*(deposit(f"k{i}") for i in range(2500)), deposit("a", 3), Closed(account_id="k0")]

    folded = projection.fold_all(((event, META) for event in history), using="default")
    assert balances() == {"wrong": 99, "a": 99}
    with transaction.atomic():
        projection.replace_all(folded, using="default")

    stored = balances()
    assert len(stored) == 2500
    assert "wrong" not in stored
    assert (stored["a"], stored["k2499"]) == (3, 1)


def test_a_replayed_history_without_rows_leaves_none() -> None:
    projection = Accounts()
    apply(projection, deposit())
    projection.replace_all(projection.fold_all([], using="default"), using="default")
    assert balances() == {}


@pytest.mark.requires_postgres
@pytest.mark.usefixtures("empty_tables")
@pytest.mark.django_db(transaction=True)
def test_two_transactions_that_make_the_same_row_inline_both_count() -> None:
    is_written = threading.Event()
    projection = InlineAccounts()

    def other() -> None:
        try:
            is_written.wait(10)
            with transaction.atomic():
                apply(projection, deposit("a"), deposit("new"), deposit("b"))
        finally:
            connections.close_all()

    thread = threading.Thread(target=other)
    thread.start()
    with transaction.atomic():
        apply(projection, deposit("a"), deposit("b"))
        is_written.set()
        _wait_for_a_blocked_session()
    thread.join(10)

    assert balances() == {"a": 2, "b": 2, "new": 1}


def _wait_for_a_blocked_session() -> None:
    waiting = (
        "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) "
        "WHERE NOT l.granted AND a.datname = current_database()"
    )
    for _ in range(500):
        with connection.cursor() as cursor:
            cursor.execute(waiting)
            if cursor.fetchone()[0]:
                return
        threading.Event().wait(0.01)
    pytest.fail("The second transaction does not wait for the first.")


def test_free_form_methods_are_called_in_the_events_order() -> None:
    class Journal(Projection):
        lines: list[str]

        @on(Deposited)
        @on(Closed)
        def any_of_both(self, event: Any, meta: Metadata) -> None:
            self.lines.append(type(event).__name__)

    journal = Journal()
    journal.lines = []
    apply(journal, deposit(), Closed(account_id="a"), deposit())

    assert journal.lines == ["Deposited", "Closed", "Deposited"]
    assert not journal.is_rebuildable
    assert list(journal.event_types()) == [Deposited, Closed]


def test_a_free_form_projection_with_clear_is_rebuildable() -> None:
    class Clearable(Projection):
        @on(Closed)
        def closed(self, event: Closed, meta: Metadata) -> None:
            Account.objects.filter(pk=event.account_id).delete()

        def clear(self) -> None:
            Account.objects.all().delete()

    assert Clearable().is_rebuildable


def test_an_override_keeps_the_events_and_is_called_once() -> None:
    class Doubled(Accounts):
        def deposited(self, row: Account, event: Deposited, meta: Metadata) -> None:
            row.balance += 2 * event.amount

    apply(Doubled(), deposit("a", 3))
    assert balances() == {"a": 6}


def test_abstract_bases_are_not_run() -> None:
    class Base(ModelProjection):
        abstract = True
        model = Account

    class Concrete(Base):
        @on(Closed, by="account_id")
        def closed(self, row: Account, event: Closed, meta: Metadata) -> None:
            row.entries += 1

    assert Base not in declared
    assert Concrete in declared
    assert any(type(item) is Concrete for item in instances())
    assert Concrete().name == "tests.Concrete"


def test_sentinels_print_their_names() -> None:
    assert [repr(item) for item in (BEGINNING, LIVE, DELETE)] == ["BEGINNING", "LIVE", "DELETE"]


def test_on_refuses_what_is_no_event() -> None:
    with pytest.raises(TypeError, match="takes Event classes, not <class 'int'>"):
        on(int)  # type: ignore[arg-type]


def test_problems_of_a_declaration_are_told_together_and_at_first_use() -> None:
    class Wrong(ModelProjection):
        model = Account
        key_field = "entries"

        @on(Closed, by="acount_id")
        def closed(self, row: Account, event: Closed, meta: Metadata) -> None:
            row.entries += 1

        @on(Deposited)
        def deposited(self, row: Account, event: Deposited, meta: Metadata) -> None:
            row.entries += 1

    found = "\n".join(problems(Wrong))
    assert "Closed has no field 'acount_id'; its fields are account_id." in found
    assert "@on(Deposited) needs by=" in found
    assert "key_field 'entries' of projection_tests.Account is not unique" in found
    with pytest.raises(WhizbangError, match="no field 'acount_id'"):
        apply(Wrong(), Closed(account_id="a"))


def test_a_projection_without_model_or_events_is_a_problem() -> None:
    class Nothing(ModelProjection):
        """Says nothing of what it writes."""

    found = "\n".join(problems(Nothing))
    assert "model is None: name the model" in found
    assert "reacts to no event" in found
    assert list(problems(Accounts)) == list(problems(Visits)) == []
